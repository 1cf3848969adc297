-- retry: let a failed or cancelled run wait again, behind the others, its failures and lost leases forgotten. Returns
-- its hash; nil when there is none. A run that waits or runs is left alone.
-- KEYS 1 run:<id> (hash)
-- ARGV 1 run_id
-- Also: its waiting list, queue:wake:<queue> (lists), queue:requirements (hash), queue:demand (set), runs:*, queue:carbon,
--       carbon:unsettled (zsets), events (stream)
local run_id = ARGV[1]
local status = redis.call("HGET", KEYS[1], "status")
if not status then
  return nil
end
local refusal = refuse_external(run_id, "retried", "start its script again with resume set to its id.")
if refusal then
  return refusal
end
if status == "done" then
  return conflict(run_id, status, "rerun it instead, which makes a new run.")
end
if status == "paused" or status == "deferred" then
  return conflict(run_id, status, "resume it instead.")
end
if status == "failed" or status == "cancelled" then
  redis.call("HDEL", KEYS[1], "failures", "lease_losses", "error", "ended_at")
  redis.call("ZREM", key("unsettled"), run_id)
  await(run_id, status, "LPUSH")
  plan_again(run_id, now())
  publish("retried", run_id)
end
return redis.call("HGETALL", KEYS[1])
