-- begin_external: add a run that its own script reports; it runs from now on. Returns {run_id, its whole hash, 1 if it is
-- new}. A known idempotency key answers with its run, or CONFLICT when the body differs; a known run_id is a no-op.
-- KEYS 1 run:<id> (hash)  2 runs:named:<key> (zset)  3 idempotency:<key> (string "run_id digest"), or absent
-- ARGV 1 run_id  2 digest of the body  3 seconds an idempotency key is kept  4 session or ""  5.. fields of the hash
-- Also: run:<id>:sources (hash), runs:by:time_added, runs:blank:running, runs:external (zsets), events (stream)
local run_id = ARGV[1]
local known_id, refusal = recall(KEYS[3], ARGV[2], "run", "Use a new key for a new run.")
if refusal then
  return refusal
end
if known_id then
  local stored = redis.call("HGETALL", key("run", known_id))
  if #stored > 0 then
    return {known_id, stored, 0}
  end
end
local is_new = redis.call("EXISTS", KEYS[1]) == 0
if is_new then
  local time = now()
  redis.call("HSET", KEYS[1], "status", "running", "is_external", "1", "time_added", time, "started_at", time,
    "heard_at", time, unpack(ARGV, 5))
  open_session(run_id, ARGV[4])
  redis.call("ZADD", key("by_time"), time, run_id)
  redis.call("ZADD", key("blank", "running"), time, run_id)
  redis.call("ZADD", key("external"), time, run_id)
  redis.call("ZADD", KEYS[2], time, run_id)
  publish("started", run_id)
end
remember(KEYS[3], run_id, ARGV[2], ARGV[3])
return {run_id, redis.call("HGETALL", KEYS[1]), is_new and 1 or 0}
