-- begin_artifact: note a file that is about to be written, until it has a record. Returns 1. NOTFOUND without the run,
-- CONFLICT or TOOLARGE where its record would be refused.
-- KEYS 1 run:<id> (hash)  2 run:<id>:artifacts  3 run:<id>:artifacts:facts (hashes)  4 artifacts:unsettled (zset)
-- ARGV 1 run_id  2 file  3 its bytes, as far as they are known  4 most versions of a run  5 most bytes of a run
local refusal = refuse_artifact(ARGV[1], ARGV[3], ARGV[4], ARGV[5])
if refusal then
  return refusal
end
redis.call("ZADD", KEYS[4], now(), ARGV[2])
return 1
