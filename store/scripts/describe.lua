-- describe: merge facts into how a run is run; a fact that is known already is replaced.
-- KEYS 1 run:<id> (hash)
-- ARGV 1 run_id  2 attempt  3 worker_id  4 facts as a JSON object
local refusal = fence(ARGV[1], ARGV[2], ARGV[3])
if refusal then
  return refusal
end
local facts = cjson.decode(redis.call("HGET", KEYS[1], "environment") or "{}")
for name, value in pairs(cjson.decode(ARGV[4])) do
  facts[name] = value
end
redis.call("HSET", KEYS[1], "environment", encode_object(facts))
return 1
