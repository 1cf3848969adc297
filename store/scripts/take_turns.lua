-- take_turns: count a request of each caller. Returns {count, milliseconds until it begins anew} for each.
-- KEYS access:turns:<who> (strings), one for each caller
-- ARGV 1 how long a window is, ms
local counted = {}
for place, counter in ipairs(KEYS) do
  local count = redis.call("INCR", counter)
  local left = redis.call("PTTL", counter)
  if left < 0 then
    redis.call("PEXPIRE", counter, ARGV[1])
    left = tonumber(ARGV[1])
  end
  counted[place] = {count, left}
end
return counted
