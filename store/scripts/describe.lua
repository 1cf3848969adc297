-- describe: store facts about how a run is run; a fact that is known already is replaced.
-- KEYS 1 run:<id> (hash)
-- ARGV 1 run_id  2 attempt  3 worker_id  4.. fields of the hash ("env:" + name, value as JSON)
local refusal = fence(ARGV[1], ARGV[2], ARGV[3])
if refusal then
  return refusal
end
return redis.call("HSET", KEYS[1], unpack(ARGV, 4))
