-- create_sweep: keep a new sweep. Returns {its id, its whole hash}; nil when there are as many as may be. A known idempotency
-- key answers with its sweep, or CONFLICT when the request differs; a known id is a no-op.
-- KEYS 1 sweep:<sweep> (hash)  2 idempotency:<key> (string "sweep_id digest"), or absent
-- ARGV 1 sweep id  2 request as JSON  3 the most sweeps  4 digest of the request  5 seconds an idempotency key is kept
-- Also: sweeps:order (zset), sweeps:active (set)
local known_id, refusal = recall(KEYS[2], ARGV[4], "sweep", "Use a new key for a new sweep.")
if refusal then
  return refusal
end
if known_id then
  local stored = redis.call("HGETALL", key("sweep", known_id))
  if #stored > 0 then
    return {known_id, stored}
  end
end
if redis.call("EXISTS", KEYS[1]) == 0 then
  if redis.call("ZCARD", key("sweep_order")) >= tonumber(ARGV[3]) then
    return nil
  end
  local time = now()
  redis.call("HSET", KEYS[1], "request", ARGV[2], "state", "running", "created_at", time)
  redis.call("ZADD", key("sweep_order"), time, ARGV[1])
  redis.call("SADD", key("sweep_active"), ARGV[1])
end
remember(KEYS[2], ARGV[1], ARGV[4], ARGV[5])
return {ARGV[1], redis.call("HGETALL", KEYS[1])}
