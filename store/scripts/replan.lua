-- replan: give a run that follows the grid another plan. A deferred one is due when that says, or waits to be claimed
-- next; one that waits is deferred again, or waits elsewhere; one that runs goes on, also where it was postponed.
-- Returns its hash, also of a repeat, which is a no-op; nil when it is not as it was when it was planned.
-- KEYS 1 run:<id> (hash)
-- ARGV 1 run_id  2 status and 3 attempt it was planned for  4 the plan as JSON, times in seconds
--      5 when it is planned again, s  6 queue it leads to, or "" for the default one  7 its requirement as JSON, or ""
-- Also: its waiting lists, queue:wake:<queue> (lists), queue:requirements (hash), queue:deferred, queue:carbon (zsets),
--       queue:demand (set), run:<id>:log (stream), runs:* (zsets), events (stream)
local run_id, status = ARGV[1], ARGV[2]
local known = redis.call("HMGET", KEYS[1], "status", "attempt", "planning", "carbon", "not_before", "queue",
  "is_postponed")
if known[3] and known[4] == ARGV[4] then
  return redis.call("HGETALL", KEYS[1])
end
local is_open = status == "deferred" or status == "waiting" or status == "running"
if not is_open or known[3] ~= "carbon" or known[1] ~= status or (known[2] or "0") ~= ARGV[3] then
  return nil
end
local plan, time = cjson.decode(ARGV[4]), tonumber(now())
-- It was not to start before: after a failure, or by its start_at. Then that stays the reason.
local is_held_back = status == "deferred" and tonumber(known[5] or 0) > math.max(time, plan.start_at)
local start = is_held_back and tonumber(known[5]) or plan.start_at
local is_later, is_elsewhere = start > time, (known[6] or "") ~= ARGV[6]
local is_moved = status == "deferred" and not is_later or status == "waiting" and (is_later or is_elsewhere)
if is_moved then
  withdraw(run_id, status)
end
take_plan(run_id, unpack(ARGV, 4))
if status == "running" and known[7] then
  redis.call("HDEL", KEYS[1], "request", "is_postponed")
elseif status == "deferred" and is_later then
  redis.call("ZADD", key("deferred"), digits(start), run_id)
  redis.call("HSET", KEYS[1], "due_at", digits(start))
  if not is_held_back then
    redis.call("HSET", KEYS[1], "status_reason", plan.reason)
  end
elseif status == "deferred" then
  await(run_id, status, "RPUSH", plan.reason)
elseif is_moved and is_later then
  shelve(run_id, status, "deferred", digits(start), plan.reason)
elseif is_moved then
  redis.call("HSET", KEYS[1], "status_reason", plan.reason)
  enqueue(run_id, "RPUSH")
end
note(run_id, plan.reason)
publish("replanned", run_id)
return redis.call("HGETALL", KEYS[1])
