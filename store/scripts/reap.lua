-- reap: take expired leases away; each run waits at the pop end, unless it is to be cancelled, paused or deferred, or
-- fails when it lost too many. Returns run ids. After an outage it does nothing for the grace, so that healthy workers
-- are not fenced off: when nobody reaped for a while, or the server is another or has started again.
-- KEYS 1 queue:leases (zset, score = expiry_s)  2 queue:reaping (hash)
-- ARGV 1 most runs at once  2 grace_s  3 most lease losses a run survives  4 reason while it waits  5 error as JSON
--      6 why its attempt's energy is not whole
-- Also: waiting lists, queue:wake:<queue> (lists), queue:requirements (hash), queue:paused, queue:deferred, queue:carbon,
--       carbon:unsettled (zsets), queue:holders (hash), queue:demand (set), run:<id> (hash), run:<id>:attempts (hash),
--       runs:* (zsets), events (stream)
local time = now()
local server = string.match(redis.call("INFO", "server"), "run_id:(%x+)")
local known = redis.call("HMGET", KEYS[2], "last_s", "steady_since_s", "server")
local gap = known[1] and time - known[1] or math.huge
local steady_since = known[2]
-- Half a lease: renewed at least every eighth of one, a lease outlives a shorter gap.
if gap < 0 or gap > ARGV[2] / 2 or known[3] ~= server then
  steady_since = time
end
redis.call("HSET", KEYS[2], "last_s", time, "steady_since_s", steady_since, "server", server)
if time - steady_since < tonumber(ARGV[2]) then
  return {}
end
local expired = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", time, "LIMIT", 0, ARGV[1])
for _, run_id in ipairs(expired) do
  local run = key("run", run_id)
  local held = redis.call("HMGET", run, "status", "attempt", "worker", "request", "simulated", "is_postponed")
  if held[1] ~= "running" then
    redis.call("ZREM", KEYS[1], run_id)
  else
    local request = wish_of(held[4], held[6])
    -- Reaped long after, by whoever came next: from the end of its lease on nobody can have trained it.
    local ended_at = math.min(time, redis.call("ZSCORE", KEYS[1], run_id))
    local more = not held[5] and {energy_reason = ARGV[6]} or nil
    end_attempt(run_id, held[2], held[3], request, "lease_lost", ended_at, more)
    tally("lease_losses")
    local losses = redis.call("HINCRBY", run, "lease_losses", 1)
    if losses > tonumber(ARGV[3]) and request ~= "cancel" then
      close_run(run_id, "running", "failed", "", ARGV[5], time)
      publish("failed", run_id, "attempt", held[2])
    else
      settle(run_id, request, held[2], time, ARGV[4], "requeued")
    end
  end
end
return expired
