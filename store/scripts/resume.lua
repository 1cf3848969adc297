-- resume: let a paused or deferred run wait, to be claimed next; withdraw the wish to pause, preempt or postpone a
-- running one. What was deferred or postponed for clean electricity is not planned any more, and neither is any run
-- that is to run now: since nothing leads it to another zone later, it may be given one with a live worker here.
-- Returns its hash; nil when there is none.
-- KEYS 1 run:<id> (hash)
-- ARGV 1 run_id  2 resume or run_now  and, to run it in another zone unless it is planned on or runs:
--      3 attempt that was chosen for  4 the plan as JSON  5 queue it leads to, or ""  6 its requirement as JSON, or ""
-- Also: its waiting lists, queue:wake:<queue> (lists), queue:requirements (hash), queue:deferred, queue:paused,
--       queue:carbon (zsets), queue:demand (set), run:<id>:log (stream), runs:* (zsets), events (stream)
local run_id, is_run_now, plan = ARGV[1], ARGV[2] == "run_now", ARGV[4]
local status, request, is_postponed = unpack(redis.call("HMGET", KEYS[1], "status", "request", "is_postponed"))
if not status then
  return nil
end
local refusal = refuse_external(run_id, "resumed", "start its script again with resume set to its id.")
if refusal then
  return refusal
end
if status == "running" and request == "cancel" then
  return conflict(run_id, "being cancelled", "it cannot go on. Retry it once it is cancelled.")
elseif status == "failed" or status == "cancelled" then
  return conflict(run_id, status, "retry it instead; it goes on from its last checkpoint.")
elseif status == "done" then
  return conflict(run_id, status, "rerun it instead, which makes a new run.")
end
local is_overridden = (is_run_now or status == "deferred" or is_postponed) and override(run_id)
local attempt, planning, last = unpack(redis.call("HMGET", KEYS[1], "attempt", "planning", "carbon"))
local is_moved = plan and planning == "override" and status ~= "running" and (attempt or "0") == ARGV[3] and last ~= plan
if is_moved then
  note(run_id, cjson.decode(plan).reason)
end
if status == "paused" or status == "deferred" then
  withdraw(run_id, status)
  if is_moved then
    redirect(run_id, plan, ARGV[5], ARGV[6])
  end
  await(run_id, status, "RPUSH", is_overridden and "run now was asked for" or nil)
  plan_again(run_id, now())
  publish("resumed", run_id)
elseif request then
  redis.call("HDEL", KEYS[1], "request", "is_postponed")
  publish("resumed", run_id)
elseif is_moved then
  withdraw(run_id, status)
  redirect(run_id, plan, ARGV[5], ARGV[6])
  enqueue(run_id, "RPUSH")
  publish("resumed", run_id)
elseif is_overridden then
  publish("resumed", run_id)
end
return redis.call("HGETALL", KEYS[1])
