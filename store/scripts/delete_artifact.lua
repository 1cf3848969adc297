-- delete_artifact: forget a version of an artifact, and note its file as one to delete. Returns 1, or nil when there is
-- no such version. CONFLICT while a model needs it, and where that is asked for while its run is not over for good.
-- KEYS 1 run:<id>:artifacts  2 run:<id>:artifacts:facts (hashes)  3 artifacts:unsettled  4 run:<id>:artifacts:order (zsets)
--      5 run:<id>:models  6 run:<id> (hashes)
-- ARGV 1 name:version  2 what it is the same by  3 run_id of a run that is to be over, or ""
local stored = redis.call("HGET", KEYS[1], ARGV[1])
if not stored then
  return nil
end
local refusal = ARGV[3] ~= "" and refuse_going_on(ARGV[3])
if refusal then
  return refusal
end
local models = redis.call("HGETALL", KEYS[5])
for i = 2, #models, 2 do
  if models[i] == ARGV[1] then
    return redis.error_reply("CONFLICT The model " .. models[i - 1] .. " needs " .. ARGV[1] .. ". Delete that version first.")
  end
end
local record = cjson.decode(stored)
-- Not -size: Lua writes that of 0 as "-0", which Redis does not take.
local change = string.format("%.0f", 0 - record.size_bytes)
redis.call("HDEL", KEYS[1], ARGV[1])
redis.call("ZREM", KEYS[4], ARGV[1])
redis.call("HINCRBY", KEYS[2], "bytes", change)
redis.call("HDEL", KEYS[2], "same:" .. ARGV[2])
redis.call("ZADD", KEYS[3], -1, record.file)
return 1
