-- import_run: add a run that ended elsewhere, done, as a file states it. Returns 1, or 0 where there is one of that id.
-- KEYS 1 run:<id> (hash)  2 runs:named:<key> (zset)
-- ARGV 1 run_id  2 "1" where it is simulated, or ""; then fields of the hash, names and values in turn
-- Also: runs:* (zsets), events (stream)
local run_id, simulated = ARGV[1], ARGV[2] ~= ""
if redis.call("EXISTS", KEYS[1]) == 1 or redis.call("HEXISTS", key("archived"), run_id) == 1 then
  return 0
end
local time = now()
redis.call("HSET", KEYS[1], "status", "done", "is_external", "1", "time_added", time, "ended_at", time, unpack(ARGV, 3))
if simulated then
  redis.call("HSET", KEYS[1], "simulated", "1")
end
redis.call("ZADD", key("by_time"), time, run_id)
redis.call("ZADD", KEYS[2], time, run_id)
redis.call("ZADD", key("by", "time_added", "done"), time, run_id)
local known = redis.call("HMGET", KEYS[1], unpack(SORT_FIELDS))
for place, field in ipairs(SORT_FIELDS) do
  if field ~= "time_added" then
    redis.call("ZADD", key(kind_of(simulated) .. "by", field, "done"), known[place] or "-inf", run_id)
  end
end
publish("imported", run_id)
return 1
