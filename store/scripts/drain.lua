-- drain: ask a worker to end after the run it has, or withdraw that. NOTFOUND when it is gone.
-- KEYS 1 worker:<id> (hash)  2 workers (zset, score = when the heartbeat expires)
-- ARGV 1 worker_id  2 1 to ask, 0 to withdraw
local expiry = redis.call("ZSCORE", KEYS[2], ARGV[1])
if not expiry or tonumber(expiry) <= tonumber(now()) or redis.call("EXISTS", KEYS[1]) == 0 then
  return redis.error_reply("NOTFOUND There is no live worker " .. string.sub(ARGV[1], 1, 80)
    .. ". The page of workers shows those that live.")
end
if ARGV[2] == "1" then
  redis.call("HSET", KEYS[1], "drain", 1)
else
  redis.call("HDEL", KEYS[1], "drain")
end
return 1
