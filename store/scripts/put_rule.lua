-- put_rule: keep a rule. -1 when a new one would be one too many, 0 when one that is to be changed does not exist.
-- KEYS 1 alerts:rules (hash: rule id -> JSON)
-- ARGV 1 rule id  2 JSON  3 the most rules  4 1 for a new one
local is_known = redis.call("HEXISTS", KEYS[1], ARGV[1]) == 1
if ARGV[4] == "1" and not is_known and redis.call("HLEN", KEYS[1]) >= tonumber(ARGV[3]) then
  return -1
end
if ARGV[4] ~= "1" and not is_known then
  return 0
end
redis.call("HSET", KEYS[1], ARGV[1], ARGV[2])
return 1
