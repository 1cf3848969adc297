-- adopt_archived: take in a run that was written to the archive and never was here. Returns 1; 0 where there is one of its id.
-- KEYS 1 run:<id> (hash)
-- ARGV 1 run_id  2 its place in the archive  3 since when that is read, s  4 how long that counts, s; then fields and values of its hash, which stays in the archive
-- Also: runs:archived (hash), runs:* (zsets), events (stream)
local run_id, fields = ARGV[1], {}
if redis.call("EXISTS", KEYS[1]) == 1 or redis.call("HEXISTS", key("archived"), run_id) == 1 then
  return 0
end
if now() - ARGV[3] > tonumber(ARGV[4]) then
  return redis.error_reply("CONFLICT Run " .. run_id .. " was taken in too slowly. Import the file again.")
end
for i = 5, #ARGV, 2 do
  fields[ARGV[i]] = ARGV[i + 1]
end
local status, kind = fields.status, kind_of(fields.simulated)
redis.call("ZADD", key("by_time"), fields.time_added, run_id)
if fields.is_external and fields.name then
  redis.call("ZADD", key("named", redis.sha1hex(fields.name)), fields.time_added, run_id)
end
if fields.duration_s then
  for _, field in ipairs(SORT_FIELDS) do
    local name = field == "time_added" and "by" or kind .. "by"
    redis.call("ZADD", key(name, field, status), fields[field] or "-inf", run_id)
  end
else
  redis.call("ZADD", key(kind .. "blank", status), fields.time_added, run_id)
end
redis.call("HSET", key("archived"), run_id, ARGV[2])
publish("imported", run_id)
return 1
