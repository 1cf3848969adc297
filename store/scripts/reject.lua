-- reject: move an entry that is no run and cannot become one out of the way. 0 when another worker moved it first.
-- KEYS 1 queue:foreign (list)  2 queue:rejected (list, the newest 1000)
-- ARGV 1 the entry
if redis.call("LREM", KEYS[1], -1, ARGV[1]) == 0 then
  return 0
end
redis.call("LPUSH", KEYS[2], ARGV[1])
redis.call("LTRIM", KEYS[2], 0, 999)
return 1
