-- delete: remove a run that has ended, or say what would go. Returns names and values of a Deletion; nil when there is
-- no such run. The totals stay: what it used was used.
-- KEYS 1 run:<id>  2 run:<id>:epochs  3 run:<id>:superseded  4 run:<id>:extras  5 run:<id>:attempts (hashes)
--      6 run:<id>:log (stream)  7 run:<id>:power (list)  8 run:<id>:metrics  9 run:<id>:sources (hashes)
--      10 run:<id>:notes (stream)  11 run:<id>:artifacts  12 run:<id>:artifacts:facts (hashes)
--      13 run:<id>:artifacts:order (zset)  14 run:<id>:histograms  15 run:<id>:models (hashes)
--      16 run:<id>:inputs (set)  17 run:<id>:usage (list)  18 run:<id>:notes:edits (hash)
-- ARGV 1 run_id  2 preview or delete
-- Also: run:<id>:points:<name> (strings), run:<id>:histogram:<name> (lists), run:<id>:histograms:bytes (string), models:used:<model> (sets), runs:*, carbon:unsettled, artifacts:unsettled (zsets), events (stream), the live view of the run
local run_id = ARGV[1]
local status, simulated, energy, co2 = unpack(redis.call("HMGET", KEYS[1], "status", "simulated", "energy_kwh", "co2_g"))
if not status then
  return nil
end
if status ~= "done" and status ~= "failed" and status ~= "cancelled" then
  return conflict(run_id, status, "cancel it first; only a run that has ended can be deleted.")
end
local needed_by = redis.call("HKEYS", KEYS[15])
if #needed_by > 0 then
  return redis.error_reply("CONFLICT The model " .. needed_by[1] .. " was made of run " .. run_id
    .. ". Delete that version first.")
end
local going = {
  "status", status, "epochs", redis.call("HLEN", KEYS[2]), "attempts", redis.call("HLEN", KEYS[5]),
  "log_lines", redis.call("XLEN", KEYS[6]), "notes", redis.call("XLEN", KEYS[10]),
  "artifacts", redis.call("HLEN", KEYS[11]),
}
local points, metrics = 0, redis.call("HGETALL", KEYS[8])
for i = 2, #metrics, 2 do
  points = points + cjson.decode(metrics[i])[METRIC.count]
end
going[#going + 1] = "points"
going[#going + 1] = string.format("%.0f", points)
for name, value in pairs({energy_kwh = energy, co2_g = co2}) do
  if value then
    going[#going + 1] = name
    going[#going + 1] = value
  end
end
if ARGV[2] == "preview" then
  return going
end
local kind = kind_of(simulated)
redis.call("ZREM", key("by_time"), run_id)
redis.call("ZREM", key(kind .. "blank", status), run_id)
for _, field in ipairs(SORT_FIELDS) do
  redis.call("ZREM", key((field == "time_added" and "" or kind) .. "by", field, status), run_id)
end
redis.call("ZREM", key("unsettled"), run_id)
local name = redis.call("HGET", KEYS[1], "name")
if name then
  redis.call("ZREM", key("named", redis.sha1hex(name)), run_id)
end
for i = 1, #metrics, 2 do
  redis.call("UNLINK", key("points", run_id, metrics[i]))
end
for _, model in ipairs(redis.call("SMEMBERS", KEYS[16])) do
  redis.call("SREM", key("model_used", model), run_id)
end
for _, histogram in ipairs(redis.call("HKEYS", KEYS[14])) do
  redis.call("UNLINK", key("histogram", run_id, histogram))
end
redis.call("UNLINK", key("histogram_bytes", run_id))
if redis.call("EXISTS", KEYS[12]) == 1 then
  redis.call("ZADD", key("unsettled_files"), -1, run_id)
end
redis.call("UNLINK", unpack(KEYS))
redis.call("UNLINK", key("live", run_id), key("live_updates", run_id), key("live_pending", run_id), key("live_mosaic", run_id))
publish("deleted", run_id)
return going
