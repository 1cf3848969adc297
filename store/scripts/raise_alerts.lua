-- raise_alerts: take over what a round of the rules found: its cursor, how conditions stand, and the alerts, which wait for
-- their channels from then on. 0 and no change when another round was taken over since this one began.
-- KEYS 1 alerts:progress (hash: number, cursor)  2 alerts:states (hash)  3 alerts:raised (stream)
-- ARGV 1 number of the round it began from  2 cursor  3 alerts kept in the stream  4 alerts that may wait for a channel
--      5 seconds a channel's alerts are kept  6 number of states that follow  then field, JSON in turn ("" where it is gone)
--      then the alerts, each as JSON and, after it, its channels with spaces between them and a + before an urgent one's
-- Also: alerts:waiting:<channel>, alerts:urgent:<channel> (lists), alerts:channel:<channel> (hash)
if (redis.call("HGET", KEYS[1], "number") or "0") ~= ARGV[1] then
  return 0
end
redis.call("HSET", KEYS[1], "number", ARGV[1] + 1, "cursor", ARGV[2])
local place = 7
for _ = 1, tonumber(ARGV[6]) do
  if ARGV[place + 1] == "" then
    redis.call("HDEL", KEYS[2], ARGV[place])
  else
    redis.call("HSET", KEYS[2], ARGV[place], ARGV[place + 1])
  end
  place = place + 2
end
for i = place, #ARGV, 2 do
  redis.call("XADD", KEYS[3], "MAXLEN", "~", ARGV[3], "*", "alert", ARGV[i])
  for sign, channel in string.gmatch(ARGV[i + 1], "(%+?)(%S+)") do
    local list = key(sign == "+" and "alert_urgent" or "alert_waiting", channel)
    if redis.call("LLEN", list) < tonumber(ARGV[4]) then
      redis.call("RPUSH", list, ARGV[i])
      redis.call("EXPIRE", list, ARGV[5])
    else
      redis.call("HINCRBY", key("alert_channel", channel), "left_out", 1)
      redis.call("EXPIRE", key("alert_channel", channel), ARGV[5])
    end
  end
end
return 1
