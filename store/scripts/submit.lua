-- submit: add a run and push it onto its waiting list. Returns {run_id, its whole hash}.
-- A known idempotency key answers with its run, or CONFLICT when the body differs; a known run_id is a no-op.
-- KEYS 1 run:<id> (hash)  2 its waiting list  3 idempotency:<key> (string "run_id digest"), or absent
-- ARGV 1 run_id  2 queue  3 digest of the body  4 seconds an idempotency key is kept  5.. fields of the hash
-- Also: queue:demand (set), queue:wake:<queue> (list), runs:by:* (zsets), events (stream)
local run_id = ARGV[1]
if KEYS[3] then
  local known = redis.call("GET", KEYS[3])
  if known then
    local known_id, digest = string.match(known, "^(%S+) (%S+)$")
    if digest ~= ARGV[3] then
      return redis.error_reply("CONFLICT This Idempotency-Key was used for another body, run " .. known_id
        .. ". Use a new key for a new run.")
    end
    local stored = redis.call("HGETALL", key("run", known_id))
    if #stored > 0 then
      return {known_id, stored}
    end
  end
end
if redis.call("EXISTS", KEYS[1]) == 0 then
  local time = now()
  redis.call("HSET", KEYS[1], "status", "waiting", "time_added", time, "queue", ARGV[2], "waiting_list", KEYS[2],
    unpack(ARGV, 5))
  for _, field in ipairs(SORT_FIELDS) do
    index(field, "waiting", run_id, field == "time_added" and time or "-inf")
  end
  redis.call("LPUSH", KEYS[2], run_id)
  redis.call("SADD", key("demand"), run_id)
  ring(ARGV[2])
  publish("submitted", run_id)
end
if KEYS[3] then
  redis.call("SET", KEYS[3], run_id .. " " .. ARGV[3], "EX", ARGV[4])
end
return {run_id, redis.call("HGETALL", KEYS[1])}
