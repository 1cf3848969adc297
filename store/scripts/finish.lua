-- finish: end a run, or after a failure that is worth another try defer it. Where that is asked for, any failure cancels
-- it, and one that is worth another try pauses it, also the last one. Returns its status. A repeat by the same attempt
-- and worker with the same status is a no-op.
-- KEYS 1 run:<id> (hash)
-- ARGV 1 run_id  2 attempt  3 worker_id  4 done, failed or cancelled  5 reason or ""  6 error as JSON or ""
--      7 the error in short or ""  8 failures after which it is tried again  9 first pause, s, jitter included
--      10 longest pause, s; 0 after a failure that is not worth another try
-- Also: queue:deferred, queue:paused, queue:leases (zsets), queue:holders (hash), queue:demand (set),
--       run:<id>:attempts (hash), runs:*, queue:carbon, carbon:unsettled (zsets), events (stream)
local run_id, attempt, worker, status = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local refusal, request = fence(run_id, attempt, worker)
if refusal then
  if not has_ended(run_id, attempt, worker, status) then
    return refusal
  end
  local present = redis.call("HMGET", KEYS[1], "status", "attempt")
  -- Another worker may hold it by now: then it was deferred.
  return present[2] == attempt and present[1] or "deferred"
end
local time = now()
end_attempt(run_id, attempt, worker, request, status, time, ARGV[7] ~= "" and {error = ARGV[7]} or nil)
if status ~= "failed" then
  local reason = status == "cancelled" and ARGV[5] == "" and reason_of_cancel(run_id) or ARGV[5]
  close_run(run_id, "running", status, reason, ARGV[6], time)
  publish(status, run_id, "attempt", attempt)
  return status
end
local failures = redis.call("HINCRBY", KEYS[1], "failures", 1)
-- Resumed, a run that fails for good would only fail again: nobody is to wait for that.
if request == "cancel" or request == "pause" and tonumber(ARGV[10]) > 0 then
  if ARGV[6] ~= "" then
    redis.call("HSET", KEYS[1], "error", ARGV[6])
  end
  return settle(run_id, request, attempt, time)
end
if failures > tonumber(ARGV[8]) then
  close_run(run_id, "running", status, ARGV[5], ARGV[6], time)
  publish(status, run_id, "attempt", attempt)
  return status
end
redis.call("HSET", KEYS[1], "error", ARGV[6])
local due = hold_back(run_id, request, time + math.min(ARGV[9] * 2 ^ (failures - 1), ARGV[10]))
local clock = string.format("%02d:%02d:%02d UTC", due / 3600 % 24, due / 60 % 60, due % 60)
shelve(run_id, "running", "deferred", digits(due),
  "attempt " .. attempt .. " failed: " .. ARGV[7] .. "; tried again at " .. clock)
publish("deferred", run_id, "attempt", attempt)
return "deferred"
