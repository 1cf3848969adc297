-- end_silent: end runs whose scripts were not heard of for long: failed, or cancelled where that was asked for. Returns
-- their ids.
-- KEYS 1 runs:external (zset, score = heard_at)
-- ARGV 1 most runs at once  2 longest silence, s  3 error as JSON  4 reason of a cancelled one
-- Also: run:<id> (hash), runs:* (zsets), events (stream)
local time = now()
local silent = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", time - ARGV[2], "LIMIT", 0, ARGV[1])
for _, run_id in ipairs(silent) do
  redis.call("ZREM", KEYS[1], run_id)
  local run = key("run", run_id)
  local known = redis.call("HMGET", run, "status", "request")
  if known[1] == "running" then
    local is_cancelled = known[2] == "cancel"
    local status = is_cancelled and "cancelled" or "failed"
    redis.call("HDEL", run, "request")
    redis.call("HSET", run, "is_silent", "1")
    close_run(run_id, "running", status, is_cancelled and ARGV[4] or "", is_cancelled and "" or ARGV[3], time)
    publish(status, run_id)
  end
end
return silent
