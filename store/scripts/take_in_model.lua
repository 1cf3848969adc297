-- take_in_model: keep all versions of a model that were registered elsewhere, of runs that there are. Returns how many those
-- are, and without one keeps no name either; 0 where a model of that name is known, -1 when there would be too many versions.
-- KEYS 1 models:records  2 models:history  3 models:facts (hashes)  4 models:order (zset)
-- ARGV 1 name  2 its highest version  3 versions, a JSON list  4 most versions in all
-- Also: run:<id> (hash), runs:archived (hash), run:<id>:models (hash), run:<id>:inputs, models:used:<model> (sets)
local name, versions = ARGV[1], cjson.decode(ARGV[3])
if redis.call("HEXISTS", KEYS[3], "last:" .. name) == 1 then
  return 0
end
local function is_here(run_id)
  return redis.call("EXISTS", key("run", run_id)) == 1 or redis.call("HEXISTS", key("archived"), run_id) == 1
end
local own = {}
for _, known in ipairs(versions) do
  if is_here(known.run_id) then
    own[#own + 1] = known
  end
end
if #own == 0 then
  return 0
end
if redis.call("ZCARD", KEYS[4]) + #own > tonumber(ARGV[4]) then
  return -1
end
redis.call("HSET", KEYS[3], "last:" .. name, ARGV[2])
for _, known in ipairs(own) do
  local model = name .. ":" .. known.version
  redis.call("HSET", KEYS[1], model, known.record)
  redis.call("HSET", KEYS[2], model, known.history)
  redis.call("ZADD", KEYS[4], known.registered_at, model)
  redis.call("HSET", key("run_models", known.run_id), model, known.source)
  if known.is_production then
    redis.call("HSET", KEYS[3], "production:" .. name, known.version)
  end
  for _, run_id in ipairs(known.used_by) do
    if is_here(run_id) then
      redis.call("SADD", key("model_used", model), run_id)
      redis.call("SADD", key("run_inputs", run_id), model)
    end
  end
end
return #own
