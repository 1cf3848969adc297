-- take_alerts: hold a channel for one message and return what waits for it: {"urgent" or "normal", left_out, failures, alerts..},
-- or nil when nothing does, somebody else holds it, it is to be tried later, or it has had its share of messages.
-- The alerts stay in their list until settle_alerts.
-- KEYS 1 alerts:channel:<channel> (hash)  2 alerts:urgent:<channel>  3 alerts:waiting:<channel> (lists)
-- ARGV 1 token  2 seconds it is held  3 the most alerts  4 messages at once  5 seconds for one more message  6 1 in quiet hours
--      7 seconds the channel is remembered
local list, name = KEYS[2], "urgent"
if redis.call("LLEN", list) == 0 then
  if ARGV[6] == "1" then
    return nil
  end
  list, name = KEYS[3], "normal"
end
local time = tonumber(now())
local known = redis.call("HMGET", KEYS[1], "held_until", "retry_at", "messages", "counted_at", "left_out", "failures")
local left_out = tonumber(known[5] or 0)
if redis.call("LLEN", list) == 0 then
  return nil
end
if tonumber(known[1] or 0) > time or tonumber(known[2] or 0) > time then
  return nil
end
local passed = known[4] and math.max(0, time - known[4]) or 0
local messages = math.min(tonumber(ARGV[4]), tonumber(known[3] or ARGV[4]) + passed / ARGV[5])
if messages < 1 then
  return nil
end
redis.call("HSET", KEYS[1], "token", ARGV[1], "held_until", digits(time + ARGV[2]), "messages", digits(messages - 1),
  "counted_at", digits(time))
redis.call("EXPIRE", KEYS[1], ARGV[7])
local reply = {name, left_out, tonumber(known[6] or 0)}
for _, alert in ipairs(redis.call("LRANGE", list, 0, ARGV[3] - 1)) do
  reply[#reply + 1] = alert
end
return reply
