-- finish: end a run as done or failed. A repeat by the same attempt and worker with the same status is a no-op.
-- KEYS 1 run:<id> (hash)
-- ARGV 1 run_id  2 attempt  3 worker_id  4 status  5 reason or ""  6 error as JSON or ""
--      7 cost of an unfinished epoch as JSON or ""
-- Also: queue:leases (zset), queue:holders (hash), queue:demand (set), run:<id>:attempts (hash),
--       runs:by:* (zsets), events (stream)
local run_id, attempt, worker, status = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local refusal = fence(run_id, attempt, worker)
if refusal then
  return has_ended(run_id, attempt, worker, status) and 0 or refusal
end
local time = now()
add_cost(run_id, attempt, ARGV[7])
end_attempt(run_id, attempt, worker, status, time)
close_run(run_id, status, ARGV[5], ARGV[6], time)
if status == "failed" then
  redis.call("HINCRBY", KEYS[1], "failures", 1)
end
publish(status, run_id, "attempt", attempt)
return 1
