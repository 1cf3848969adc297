-- watch: note that live views are being watched, and forget those that are no more. Returns how many there are.
-- KEYS 1 live:watched (zset, score = until when)
-- ARGV 1 for how many seconds  2.. views
local time = tonumber(now())
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", digits(time))
for i = 2, #ARGV do
  redis.call("ZADD", KEYS[1], digits(time + ARGV[1]), ARGV[i])
end
return redis.call("ZCARD", KEYS[1])
