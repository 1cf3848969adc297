-- take_in_sweep: keep a sweep that ended elsewhere. Returns 1; 0 where there is one of its id, -1 when there are as many as may be.
-- KEYS 1 sweep:<sweep> (hash)  2 sweep:<sweep>:journal (list)
-- ARGV 1 sweep id  2 the most sweeps  3 how many fields it has; then fields and values, then its journal
-- Also: sweeps:order (zset)
if redis.call("EXISTS", KEYS[1]) == 1 then
  return 0
end
if redis.call("ZCARD", key("sweep_order")) >= tonumber(ARGV[2]) then
  return -1
end
local journal = 4 + 2 * tonumber(ARGV[3])
for i = 4, journal - 1, 2 do
  redis.call("HSET", KEYS[1], ARGV[i], ARGV[i + 1])
end
for i = journal, #ARGV do
  redis.call("RPUSH", KEYS[2], ARGV[i])
end
redis.call("ZADD", key("sweep_order"), redis.call("HGET", KEYS[1], "created_at"), ARGV[1])
return 1
