-- resume: let a paused or deferred run wait, to be claimed next; withdraw the wish to pause or preempt a running one.
-- Returns its hash; nil when there is none.
-- KEYS 1 run:<id> (hash)
-- ARGV 1 run_id
-- Also: its waiting list, queue:wake:<queue> (lists), queue:requirements (hash), queue:deferred, queue:paused (zsets),
--       queue:demand (set), runs:* (zsets), events (stream)
local run_id = ARGV[1]
local status, request = unpack(redis.call("HMGET", KEYS[1], "status", "request"))
if not status then
  return nil
end
if status == "paused" or status == "deferred" then
  withdraw(run_id, status)
  await(run_id, status, "RPUSH")
  publish("resumed", run_id)
elseif status == "running" and request == "cancel" then
  return conflict(run_id, "being cancelled", "it cannot go on. Retry it once it is cancelled.")
elseif status == "running" and request then
  redis.call("HDEL", KEYS[1], "request")
  publish("resumed", run_id)
elseif status == "failed" or status == "cancelled" then
  return conflict(run_id, status, "retry it instead; it goes on from its last checkpoint.")
elseif status == "done" then
  return conflict(run_id, status, "rerun it instead, which makes a new run.")
end
return redis.call("HGETALL", KEYS[1])
