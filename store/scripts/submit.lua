-- submit: add a run and push it onto its waiting list, or defer it. Returns {run_id, its whole hash}, which is empty where the
-- run is known and was moved to the archive.
-- A known idempotency key answers with its run, or CONFLICT when the body differs; a known run_id is a no-op.
-- KEYS 1 run:<id> (hash)  2 idempotency:<key> (string "run_id digest"), or absent
-- ARGV 1 run_id  2 digest of the body  3 seconds an idempotency key is kept  4 due_s, or 0
--      5 when it is planned for clean electricity, s, or ""  6 its reason for the log, or ""  7 its project
--      8 the token that queues it, or ""  9.. fields of the hash
-- Where a quota of the project or the token is used up: {"", whose, its name, the limit, what is used}.
-- Also: runs:archived (hash), its waiting list, queue:wake:<queue> (lists), queue:requirements (hash), queue:deferred, queue:carbon (zsets),
--       quotas:* (hashes, sets), run:<id>:log (stream), queue:demand (set), runs:by:time_added, runs:blank:<status> (zsets), events (stream)
local run_id = ARGV[1]
local known_id, refusal = recall(KEYS[2], ARGV[2], "run", "Use a new key for a new run.")
if refusal then
  return refusal
end
if known_id then
  local stored = redis.call("HGETALL", key("run", known_id))
  if #stored > 0 or redis.call("HEXISTS", key("archived"), known_id) == 1 then
    return {known_id, stored}
  end
end
if redis.call("EXISTS", KEYS[1]) == 0 then
  local time = now()
  local full = full_quota({"project:" .. ARGV[7], ARGV[8] ~= "" and "token:" .. ARGV[8] or nil}, day_of(time))
  if full then
    return full
  end
  local is_deferred = tonumber(ARGV[4]) > tonumber(time)
  local status = is_deferred and "deferred" or "waiting"
  redis.call("HSET", KEYS[1], "status", status, "time_added", time, unpack(ARGV, 9))
  if ARGV[8] ~= "" then
    redis.call("HSET", KEYS[1], "token", ARGV[8])
  end
  count_place(run_id, nil, status)
  local kind = kind_of(redis.call("HEXISTS", KEYS[1], "simulated") == 1)
  redis.call("ZADD", key("by_time"), time, run_id)
  redis.call("ZADD", key(kind .. "blank", status), time, run_id)
  if is_deferred then
    redis.call("HSET", KEYS[1], "due_at", ARGV[4])
    redis.call("ZADD", key("deferred"), ARGV[4], run_id)
  else
    enqueue(run_id, "LPUSH")
  end
  if ARGV[5] ~= "" then
    plan_again(run_id, ARGV[5])
  end
  if ARGV[6] ~= "" then
    note(run_id, ARGV[6])
  end
  publish("submitted", run_id)
end
remember(KEYS[2], run_id, ARGV[2], ARGV[3])
return {run_id, redis.call("HGETALL", KEYS[1])}
