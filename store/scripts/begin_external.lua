-- begin_external: add a run that its own script reports; it runs from now on. Returns {run_id, its whole hash, 1 if it is
-- new}; of one that was moved to the archive an empty hash. A known idempotency key answers with its run, or CONFLICT when the body differs; a known run_id is a no-op.
-- KEYS 1 run:<id> (hash)  2 runs:named:<key> (zset)  3 idempotency:<key> (string "run_id digest"), or absent
-- A new one notes the models it began with; NOTFOUND without one of them, and nothing is written then.
-- ARGV 1 run_id  2 digest of the body  3 seconds an idempotency key is kept  4 session or ""  5 models it began with, a
--      JSON list of name:version  6.. fields of the hash
-- Also: run:<id>:sources, models:records, runs:archived (hashes), run:<id>:inputs, models:used:<model> (sets), runs:by:time_added, runs:blank:running, runs:external (zsets), events (stream)
local run_id = ARGV[1]
local known_id, refusal = recall(KEYS[3], ARGV[2], "run", "Use a new key for a new run.")
if refusal then
  return refusal
end
if known_id then
  local stored = redis.call("HGETALL", key("run", known_id))
  if #stored > 0 or redis.call("HEXISTS", key("archived"), known_id) == 1 then
    return {known_id, stored, 0}
  end
end
local is_new = redis.call("EXISTS", KEYS[1]) == 0
if is_new then
  local time, models = now(), cjson.decode(ARGV[5])
  for _, model in ipairs(models) do
    if redis.call("HEXISTS", key("model_records"), model) == 0 then
      return redis.error_reply("NOTFOUND There is no model " .. model .. ". GET /api/models lists those there are.")
    end
  end
  for _, model in ipairs(models) do
    redis.call("SADD", key("run_inputs", run_id), model)
    redis.call("SADD", key("model_used", model), run_id)
  end
  redis.call("HSET", KEYS[1], "status", "running", "is_external", "1", "time_added", time, "started_at", time,
    "heard_at", time, unpack(ARGV, 6))
  open_session(run_id, ARGV[4])
  redis.call("ZADD", key("by_time"), time, run_id)
  redis.call("ZADD", key("blank", "running"), time, run_id)
  redis.call("ZADD", key("external"), time, run_id)
  redis.call("ZADD", KEYS[2], time, run_id)
  publish("started", run_id)
end
remember(KEYS[3], run_id, ARGV[2], ARGV[3])
return {run_id, redis.call("HGETALL", KEYS[1]), is_new and 1 or 0}
