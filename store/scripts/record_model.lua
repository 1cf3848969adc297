-- record_model: register a file of a run as the next version of a model, candidate. Returns {version, 1 if it is new}; 0 for
-- one that is registered under that name already. NOTFOUND without the run or the artifact, CONFLICT where there are too many.
-- KEYS 1 run:<id>  2 run:<id>:artifacts  3 run:<id>:models  4 models:records  5 models:history  6 models:facts (hashes)
--      7 models:order (zset)  8 run:<id>:artifacts:facts (hash)
-- ARGV 1 run_id  2 its artifact as name:version, or saved:best  3 name of the model  4 record, a JSON object without the
--      time  5 most versions in all
local run_id, source, name = ARGV[1], ARGV[2], ARGV[3]
local saved = string.match(source, "^saved:(.*)$")
local is_gone = saved and redis.call("HEXISTS", KEYS[8], "dropped:" .. saved) == 1
  or not saved and redis.call("HEXISTS", KEYS[2], source) == 0
if is_gone or redis.call("EXISTS", KEYS[1]) == 0 then
  return redis.error_reply("NOTFOUND The run " .. run_id .. " or its artifact was deleted.")
end
local own = redis.call("HGETALL", KEYS[3])
for i = 1, #own, 2 do
  local known, version = string.match(own[i], "^(.*):(%d+)$")
  if known == name and own[i + 1] == source then
    return {tonumber(version), 0}
  end
end
if redis.call("ZCARD", KEYS[7]) >= tonumber(ARGV[5]) then
  return redis.error_reply("CONFLICT There are " .. ARGV[5] .. " versions of models, as many as are kept. Delete some.")
end
local version = redis.call("HINCRBY", KEYS[6], "last:" .. name, 1)
local model, time = name .. ":" .. string.format("%d", version), now()
redis.call("HSET", KEYS[4], model, '{"created_at":' .. time .. "," .. string.sub(ARGV[4], 2))
redis.call("HSET", KEYS[5], model, '[{"stage":"candidate","time":' .. time .. "}]")
redis.call("ZADD", KEYS[7], time, model)
redis.call("HSET", KEYS[3], model, source)
return {version, 1}
