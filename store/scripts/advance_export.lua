-- advance_export: note that an exporter is done with one end of a run. Returns 1; 0 where it stands elsewhere.
-- KEYS 1 export:<exporter> (hash)
-- ARGV 1 the place it was at  2 the place it is at now  3 exported, skipped or passed  4 whose end it was
local cursor = redis.call("HGET", KEYS[1], "cursor")
if cursor == ARGV[2] then
  return 1 -- noted before; the reply was lost
end
if cursor ~= ARGV[1] then
  return 0
end
redis.call("HSET", KEYS[1], "cursor", ARGV[2], "last_run", ARGV[4])
redis.call("HDEL", KEYS[1], "failures", "error", "run_id", "next_at")
if ARGV[3] == "exported" or ARGV[3] == "skipped" then
  redis.call("HINCRBY", KEYS[1], ARGV[3], 1)
end
return 1
