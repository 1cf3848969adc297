-- thaw: bring one key of an archived run back for some time, so that it can be read. Returns 1; 0 where the run is not, or no
-- longer, in the archive: then nothing is written, for the key may be the run's own.
-- KEYS 1 the key  2 runs:archived (hash)
-- ARGV 1 run_id  2 how long it stays, ms  3 hash, list, zset, stream or string; then its content: fields and values,
--      values, members and scores, the one text; of a stream for each entry its id, how many cells follow, and those
if redis.call("HEXISTS", KEYS[2], ARGV[1]) == 0 then
  return 0
end
redis.call("UNLINK", KEYS[1])
local kind, place = ARGV[3], 4
while place <= #ARGV do
  if kind == "stream" then
    local count = tonumber(ARGV[place + 1])
    redis.call("XADD", KEYS[1], ARGV[place], unpack(ARGV, place + 2, place + 1 + count))
    place = place + 2 + count
  elseif kind == "list" then
    redis.call("RPUSH", KEYS[1], ARGV[place])
    place = place + 1
  elseif kind == "string" then
    redis.call("SET", KEYS[1], ARGV[place])
    place = place + 1
  elseif kind == "zset" then
    redis.call("ZADD", KEYS[1], ARGV[place + 1], ARGV[place])
    place = place + 2
  else
    redis.call("HSET", KEYS[1], ARGV[place], ARGV[place + 1])
    place = place + 2
  end
end
redis.call("PEXPIRE", KEYS[1], ARGV[2])
return 1
