-- put_view: keep a view of the list of runs. Returns 1; 0 when there is one of that name that is not to be replaced, -1 when
-- there are as many as there may be.
-- KEYS 1 views:saved (hash: name -> JSON)
-- ARGV 1 name  2 JSON  3 the most views  4 1 to replace one
local is_known = redis.call("HEXISTS", KEYS[1], ARGV[1]) == 1
if is_known and ARGV[4] ~= "1" then
  return 0
end
if not is_known and redis.call("HLEN", KEYS[1]) >= tonumber(ARGV[3]) then
  return -1
end
redis.call("HSET", KEYS[1], ARGV[1], ARGV[2])
return 1
