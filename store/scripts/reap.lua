-- reap: take expired leases away; each run waits at the pop end, or fails when it lost too many. Returns run ids.
-- Does nothing while Redis has been up for less than the grace, so that an outage never fences healthy workers off.
-- KEYS 1 queue:leases (zset, score = expiry_s)
-- ARGV 1 most runs at once  2 grace_s  3 most lease losses a run survives  4 reason while it waits  5 error as JSON
--      6 why its attempt's energy is not whole
-- Also: waiting lists, queue:wake:<queue> (lists), queue:holders (hash), queue:demand (set), run:<id> (hash),
--       run:<id>:attempts (hash), runs:by:* (zsets), events (stream)
local uptime_s = string.match(redis.call("INFO", "server"), "uptime_in_seconds:(%d+)")
-- Redis rounds its uptime up by as much as one second.
if math.max(uptime_s - 1, 0) < tonumber(ARGV[2]) then
  return {}
end
local time = now()
local expired = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", time, "LIMIT", 0, ARGV[1])
for _, run_id in ipairs(expired) do
  local run = key("run", run_id)
  local held = redis.call("HMGET", run, "status", "attempt", "worker")
  if held[1] ~= "running" then
    redis.call("ZREM", KEYS[1], run_id)
  else
    end_attempt(run_id, held[2], held[3], "lease_lost", time, ARGV[6])
    if redis.call("HINCRBY", run, "lease_losses", 1) > tonumber(ARGV[3]) then
      close_run(run_id, "failed", "", ARGV[5], time)
      publish("failed", run_id, "attempt", held[2])
    else
      put_back(run_id, ARGV[4])
      publish("requeued", run_id, "attempt", held[2])
    end
  end
end
return expired
