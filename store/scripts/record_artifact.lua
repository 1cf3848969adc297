-- record_artifact: give a file that was written its record, under the next version of its name. Returns {version, its
-- record, 1 if it is new}; 0 for one that has a record already, whose file is not this one. NOTFOUND without the run,
-- CONFLICT where the file is noted no more, or the run has too many, TOOLARGE where it has too much.
-- KEYS 1 run:<id> (hash)  2 run:<id>:artifacts  3 run:<id>:artifacts:facts (hashes)  4 artifacts:unsettled (zset)
--      5 run:<id>:artifacts:order (zset)
-- ARGV 1 run_id  2 file  3 its bytes  4 most versions of a run  5 most bytes of a run  6 name  7 what it is the same by
--      8 its record, a JSON object without the time
local run_id, file, name = ARGV[1], ARGV[2], ARGV[6]
local known = redis.call("HGET", KEYS[3], "same:" .. ARGV[7])
local stored = known and redis.call("HGET", KEYS[2], name .. ":" .. known)
if stored then
  -- Its own one where its reply was lost and it asks again.
  return {tonumber(known), stored, cjson.decode(stored).file == file and 1 or 0}
end
local refusal = refuse_artifact(run_id, ARGV[3], ARGV[4], ARGV[5])
if refusal then
  return refusal
end
if tonumber(redis.call("ZSCORE", KEYS[4], file) or -1) < 0 then
  return redis.error_reply("CONFLICT The upload took so long that its file was taken for a leftover. Send it again.")
end
local version = redis.call("HINCRBY", KEYS[3], "version:" .. name, 1)
if version == 1 then
  -- It may have had versions before, of which only the highest number of any name is known.
  version = 1 + tonumber(redis.call("HGET", KEYS[3], "forgotten") or 0)
  redis.call("HSET", KEYS[3], "version:" .. name, string.format("%d", version))
end
local place = name .. ":" .. string.format("%d", version)
local record = '{"created_at":' .. now() .. "," .. string.sub(ARGV[8], 2)
redis.call("HSET", KEYS[2], place, record)
redis.call("ZADD", KEYS[5], redis.call("HINCRBY", KEYS[3], "count", 1), place)
redis.call("HINCRBY", KEYS[3], "bytes", ARGV[3])
redis.call("HSET", KEYS[3], "same:" .. ARGV[7], string.format("%d", version))
redis.call("ZREM", KEYS[4], file)
return {version, record, 1}
