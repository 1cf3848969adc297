-- release: put a run back, to be claimed next, or cancel, pause or defer it where that is asked for; neither a failure
-- nor a lost lease. Returns its status. A repeat is a no-op.
-- KEYS 1 run:<id> (hash)
-- ARGV 1 run_id  2 attempt  3 worker_id  4 reason for a person
-- Also: its waiting list, queue:wake:<queue> (lists), queue:requirements (hash), queue:paused, queue:deferred, queue:carbon,
--       carbon:unsettled, queue:leases (zsets), queue:holders (hash), queue:demand (set), run:<id>:attempts (hash),
--       runs:* (zsets), events (stream)
local run_id, attempt, worker = ARGV[1], ARGV[2], ARGV[3]
local left_as = {preempted = "waiting", cancelled = "cancelled", paused = "paused", postponed = "deferred"}
local ended_as = {cancel = "cancelled", pause = "paused", postpone = "postponed"}
local refusal, request = fence(run_id, attempt, worker)
if refusal then
  for end_reason, status in pairs(left_as) do
    if has_ended(run_id, attempt, worker, end_reason) then
      -- Postponed, it may wait elsewhere at once; by now it may have gone on.
      local present = redis.call("HMGET", KEYS[1], "status", "attempt")
      return end_reason == "postponed" and present[2] == attempt and present[1] or status
    end
  end
  return refusal
end
local time = now()
end_attempt(run_id, attempt, worker, request, ended_as[request] or "preempted", time)
local is_wanted = request == "preempt" or request == "postpone"
return settle(run_id, request, attempt, time, ARGV[4], is_wanted and "preempted" or "released")
