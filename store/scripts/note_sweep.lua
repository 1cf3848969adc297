-- note_sweep: keep what a sweep has achieved so far, and where it has come to its end, that. Returns 1; 0 when there is none,
-- or it has ended before.
-- KEYS 1 sweep:<sweep> (hash)
-- ARGV 1 sweep id  2 summary as JSON  3 done, stopped or failed; "" where it goes on  4 reason
-- Also: sweeps:active (set)
local state = redis.call("HGET", KEYS[1], "state")
if not state or state == "done" or state == "stopped" or state == "failed" then
  redis.call("SREM", key("sweep_active"), ARGV[1])
  return 0
end
redis.call("HSET", KEYS[1], "summary", ARGV[2], "reason", ARGV[4])
if ARGV[3] ~= "" then
  redis.call("HSET", KEYS[1], "state", ARGV[3], "ended_at", now())
  redis.call("SREM", key("sweep_active"), ARGV[1])
end
return 1
