-- use_models: note that a run began with models. Returns 1. NOTFOUND without the run or one of them, CONFLICT where the run
-- would have too many; nothing is written then.
-- KEYS 1 run:<id> (hash)  2 run:<id>:inputs (set)  3 models:records (hash)
-- ARGV 1 run_id  2 most models of a run; then each as name:version
-- Also: models:used:<model> (sets)
if redis.call("EXISTS", KEYS[1]) == 0 then
  return redis.error_reply("NOTFOUND There is no run " .. ARGV[1] .. ". The list of runs shows those that exist.")
end
local news = 0
for i = 3, #ARGV do
  if redis.call("HEXISTS", KEYS[3], ARGV[i]) == 0 then
    return redis.error_reply("NOTFOUND There is no model " .. ARGV[i] .. ". GET /api/models lists those there are.")
  end
  news = news + 1 - redis.call("SISMEMBER", KEYS[2], ARGV[i])
end
if redis.call("SCARD", KEYS[2]) + news > tonumber(ARGV[2]) then
  return redis.error_reply("CONFLICT Run " .. ARGV[1] .. " would have more than " .. ARGV[2] .. " models it began with.")
end
for i = 3, #ARGV do
  redis.call("SADD", KEYS[2], ARGV[i])
  redis.call("SADD", key("model_used", ARGV[i]), ARGV[1])
end
return 1
