-- release: put a run back, to be claimed next; neither a failure nor a lost lease. A repeat is a no-op.
-- KEYS 1 run:<id> (hash)
-- ARGV 1 run_id  2 attempt  3 worker_id  4 reason for a person  5 cost of the unfinished epoch as JSON or ""
-- Also: its waiting list, queue:wake:<queue> (list), queue:leases (zset), queue:holders (hash),
--       run:<id>:attempts (hash), runs:by:* (zsets), events (stream)
local run_id, attempt, worker = ARGV[1], ARGV[2], ARGV[3]
local refusal = fence(run_id, attempt, worker)
if refusal then
  return has_ended(run_id, attempt, worker, "preempted") and 0 or refusal
end
add_cost(run_id, attempt, ARGV[5])
end_attempt(run_id, attempt, worker, "preempted", now())
put_back(run_id, ARGV[4])
publish("released", run_id, "attempt", attempt)
return 1
