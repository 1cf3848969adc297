-- beat: store a worker's heartbeat and forget workers that are gone for long. 1 when it was asked to drain.
-- KEYS 1 worker:<id> (hash, expires)  2 workers (zset, score = when the heartbeat expires)
-- ARGV 1 worker_id  2 ttl_s  3 seconds a worker that is gone is remembered  4.. fields of the hash
local time = now()
local drain = redis.call("HGET", KEYS[1], "drain")
redis.call("DEL", KEYS[1])
redis.call("HSET", KEYS[1], "seen_at", time, unpack(ARGV, 4))
redis.call("PEXPIRE", KEYS[1], math.ceil((ARGV[2] + ARGV[3]) * 1000))
redis.call("ZREMRANGEBYSCORE", KEYS[2], "-inf", digits(time - ARGV[3]))
redis.call("ZADD", KEYS[2], digits(time + ARGV[2]), ARGV[1])
if drain then
  redis.call("HSET", KEYS[1], "drain", drain)
  return 1
end
return 0
