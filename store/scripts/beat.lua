-- beat: store a worker's heartbeat and forget workers whose time is over.
-- KEYS 1 worker:<id> (hash, expires)  2 workers (zset, score = expiry_s)
-- ARGV 1 worker_id  2 ttl_s  3.. fields of the hash
local time = now()
redis.call("DEL", KEYS[1])
redis.call("HSET", KEYS[1], "seen_at", time, unpack(ARGV, 3))
redis.call("PEXPIRE", KEYS[1], math.ceil(ARGV[2] * 1000))
redis.call("ZREMRANGEBYSCORE", KEYS[2], "-inf", time)
redis.call("ZADD", KEYS[2], digits(time + ARGV[2]), ARGV[1])
return 1
