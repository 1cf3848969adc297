-- pause: keep a run from being claimed, or ask the worker of a running one to stop. Returns its hash; nil without one.
-- KEYS 1 run:<id> (hash)
-- ARGV 1 run_id
-- Also: its waiting list, queue:deferred, queue:paused, queue:carbon (zsets), queue:demand (set),
--       runs:* (zsets), events (stream)
local run_id = ARGV[1]
local status, request = unpack(redis.call("HMGET", KEYS[1], "status", "request"))
if not status then
  return nil
end
local refusal = refuse_external(run_id, "paused", "stop the script instead.")
if refusal then
  return refusal
end
if status == "running" then
  if request == "cancel" then
    return conflict(run_id, "being cancelled", "it cannot be paused any more. Retry it once it is cancelled.")
  end
  if request ~= "pause" then
    ask(run_id, "pause")
  end
elseif status == "waiting" or status == "deferred" then
  withdraw(run_id, status)
  shelve(run_id, status, "paused", now(), "paused on request")
  publish("paused", run_id)
elseif status ~= "paused" then
  return conflict(run_id, status, "only a run that has not ended can be paused.")
end
return redis.call("HGETALL", KEYS[1])
