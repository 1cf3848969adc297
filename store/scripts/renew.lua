-- renew: move the expiry of a lease. Succeeds on an expired lease too, as long as nobody has reaped it.
-- Returns what the run is asked for, or nil.
-- KEYS 1 run:<id> (hash)  2 queue:leases (zset, score = expiry_s)
-- ARGV 1 run_id  2 attempt  3 worker_id  4 lease_s
local refusal, request = fence(ARGV[1], ARGV[2], ARGV[3])
if refusal then
  return refusal
end
redis.call("ZADD", KEYS[2], digits(now() + ARGV[4]), ARGV[1])
return request == "postpone" and "preempt" or request
