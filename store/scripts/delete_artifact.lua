-- delete_artifact: forget a version of an artifact, and note its file as one to delete. Returns 1, or nil when there is
-- no such version. CONFLICT while a model needs it, and where that is asked for while its run is not over for good.
-- KEYS 1 run:<id>:artifacts  2 run:<id>:artifacts:facts (hashes)  3 artifacts:unsettled  4 run:<id>:artifacts:order (zsets)
--      5 run:<id>:models  6 run:<id> (hashes)
-- ARGV 1 name:version  2 what it is the same by  3 run_id of a run that is to be over, or ""  4 most names without a version
--      whose last number is kept, beside one for each version there is  5 so long a silence is the end of a run, s

-- Of names that have no version any more only the highest number is kept, which no new name begins below.
local function forget_names()
  local living = {}
  for _, place in ipairs(redis.call("HKEYS", KEYS[1])) do
    living["version:" .. string.match(place, "^(.*):%d+$")] = true
  end
  local facts = redis.call("HGETALL", KEYS[2])
  local highest = tonumber(redis.call("HGET", KEYS[2], "forgotten") or 0)
  for i = 1, #facts, 2 do
    if string.sub(facts[i], 1, 8) == "version:" and not living[facts[i]] then
      highest = math.max(highest, tonumber(facts[i + 1]))
      redis.call("HDEL", KEYS[2], facts[i])
    end
  end
  redis.call("HSET", KEYS[2], "forgotten", string.format("%d", highest))
end

local stored = redis.call("HGET", KEYS[1], ARGV[1])
if not stored then
  return nil
end
local refusal = ARGV[3] ~= "" and refuse_going_on(ARGV[3], ARGV[5])
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
-- Each version has two facts at most, its own and that of its name; six more are those of the run.
if redis.call("HLEN", KEYS[2]) > 2 * redis.call("HLEN", KEYS[1]) + 6 + tonumber(ARGV[4]) then
  forget_names()
end
return 1
