-- settle_alerts: note how a try to tell a channel ended and let go of the channel. 0 when the try took so long that it was
-- no longer held: then only the log has it.
-- KEYS 1 alerts:channel:<channel> (hash)  2 the list it was taken from  3 alerts:deliveries (stream)
-- ARGV 1 token  2 alerts to remove, 0 to keep them  3 left_out that was told  4 seconds until the next try, "" after a success
--      5 1 to forget earlier failures  6 deliveries kept in the stream  7 the delivery as JSON
redis.call("XADD", KEYS[3], "MAXLEN", "~", ARGV[6], "*", "delivery", ARGV[7])
if redis.call("HGET", KEYS[1], "token") ~= ARGV[1] then
  return 0
end
redis.call("LTRIM", KEYS[2], ARGV[2], -1)
redis.call("HDEL", KEYS[1], "token", "held_until", "retry_at")
if tonumber(ARGV[3]) > 0 then
  redis.call("HINCRBY", KEYS[1], "left_out", -ARGV[3])
end
if ARGV[4] ~= "" then
  -- What was not sent counts towards no limit.
  redis.call("HSET", KEYS[1], "retry_at", digits(now() + ARGV[4]))
  redis.call("HINCRBYFLOAT", KEYS[1], "messages", 1)
end
if ARGV[5] == "1" then
  redis.call("HDEL", KEYS[1], "failures")
else
  redis.call("HINCRBY", KEYS[1], "failures", 1)
end
return 1
