-- delete_model: forget a version of a model; its file stays with its run. Returns 1, or nil when there is no such version.
-- CONFLICT for one in production.
-- KEYS 1 models:records  2 models:history  3 models:facts (hashes)  4 models:order (zset)  5 models:used:<model> (set)
-- ARGV 1 name  2 version
-- Also: run:<id>:models (hash)
local model = ARGV[1] .. ":" .. ARGV[2]
local record = redis.call("HGET", KEYS[1], model)
if not record then
  return nil
end
if redis.call("HGET", KEYS[3], "production:" .. ARGV[1]) == ARGV[2] then
  return redis.error_reply("CONFLICT The model " .. model .. " is in production. Give it another stage first.")
end
redis.call("HDEL", KEYS[1], model)
redis.call("HDEL", KEYS[2], model)
redis.call("ZREM", KEYS[4], model)
redis.call("UNLINK", KEYS[5])
redis.call("HDEL", key("run_models", cjson.decode(record).run_id), model)
return 1
