-- cancel: end a run without a result, or ask the worker of a running one to. Returns its hash; nil when there is none.
-- KEYS 1 run:<id> (hash)
-- ARGV 1 run_id  2 why, for a person; "" where somebody asked for it
-- Also: its waiting list, queue:deferred, queue:paused, queue:carbon, carbon:unsettled (zsets),
--       queue:demand (set), runs:* (zsets), events (stream)
local run_id = ARGV[1]
local function give_reason()
  if ARGV[2] ~= "" then
    redis.call("HSET", KEYS[1], "cancel_reason", ARGV[2])
  end
end
local status, request = unpack(redis.call("HMGET", KEYS[1], "status", "request"))
if not status then
  return nil
end
if status == "done" or status == "failed" then
  return conflict(run_id, status, "there is nothing to cancel. It can be deleted.")
end
if status == "running" then
  if request ~= "cancel" then
    give_reason()
    ask(run_id, "cancel")
  end
elseif status ~= "cancelled" then
  withdraw(run_id, status)
  give_reason()
  close_run(run_id, status, "cancelled", reason_of_cancel(run_id), "", now())
  publish("cancelled", run_id)
end
return redis.call("HGETALL", KEYS[1])
