-- release: put a run back, to be claimed next, or cancel or pause it where that is asked for; neither a failure nor a
-- lost lease. Returns its status. A repeat is a no-op.
-- KEYS 1 run:<id> (hash)
-- ARGV 1 run_id  2 attempt  3 worker_id  4 reason for a person
-- Also: its waiting list, queue:wake:<queue> (lists), queue:requirements (hash), queue:paused (zset), queue:leases
--       (zset), queue:holders (hash), queue:demand (set), run:<id>:attempts (hash), runs:* (zsets), events (stream)
local run_id, attempt, worker = ARGV[1], ARGV[2], ARGV[3]
local left_as = {preempted = "waiting", cancelled = "cancelled", paused = "paused"}
local refusal, request = fence(run_id, attempt, worker)
if refusal then
  for end_reason, status in pairs(left_as) do
    if has_ended(run_id, attempt, worker, end_reason) then
      return status
    end
  end
  return refusal
end
local time = now()
end_attempt(run_id, attempt, worker, request, ({cancel = "cancelled", pause = "paused"})[request] or "preempted", time)
return settle(run_id, request, attempt, time, ARGV[4], request == "preempt" and "preempted" or "released")
