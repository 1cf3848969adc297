-- recompute: replace the CO2 figures of a run that has ended, and correct the totals. 0 when the run has changed since
-- it was read: another attempt, or another recomputation. CONFLICT when it has not ended, or lacks an attempt.
-- KEYS 1 run:<id> (hash)  2 run:<id>:epochs (hash)  3 run:<id>:attempts (hash)  4 run:<id>:superseded (hash)
--      5 run:<id>:extras (hash)
-- ARGV 1 run_id  2 attempt and 3 recomputations of the run that was read  4 co2_g or ""  5 co2_source and
--      6 co2_revisions as JSON  7 project  8 number of epochs  9 of superseded ones  10 of extras  11 of attempts
--      12 of days; then pairs: place, JSON of each epoch, of each superseded one, of each extra; attempt, its co2_g or "";
--      then triples: day, change of its co2_g, change of its unknown_co2_epochs
-- Also: runs:*, carbon:unsettled (zsets), totals:* (hashes, set), events (stream)
local run_id = ARGV[1]
local refusal = refuse_external(run_id, "computed again", "it reports its CO2 itself.")
if refusal then
  return refusal
end
local state = redis.call("HMGET", KEYS[1], "status", "attempt", "recomputations")
if state[1] ~= "done" and state[1] ~= "failed" and state[1] ~= "cancelled" then
  return redis.error_reply("CONFLICT Run " .. run_id .. " is " .. (state[1] or "unknown")
    .. ": its CO2 is computed again only once it has ended.")
end
if (state[2] or "0") ~= ARGV[2] or (state[3] or "0") ~= ARGV[3] then
  return 0
end

local next_argument = 13
local function take()
  next_argument = next_argument + 1
  return ARGV[next_argument - 1]
end

-- A script that fails halfway keeps what it wrote, so everything is read before the first write.
local parts, attempts = {}, {}
for place, kind in ipairs({KEYS[2], KEYS[4], KEYS[5]}) do
  for _ = 1, ARGV[7 + place] do
    parts[#parts + 1] = {kind, take(), take()}
  end
end
for _ = 1, ARGV[11] do
  local attempt, co2_g = take(), take()
  local record = read_attempt(run_id, attempt)
  if not record then
    return redis.error_reply("CONFLICT Attempt " .. attempt .. " of run " .. run_id
      .. " is not known, so its CO2 cannot be computed again; nothing was written.")
  end
  record.co2_g = tonumber(co2_g)
  attempts[attempt] = record
end

for _, part in ipairs(parts) do
  redis.call("HSET", unpack(part))
end
for attempt, record in pairs(attempts) do
  write_attempt(run_id, attempt, record)
end
for _ = 1, ARGV[12] do
  local day = take()
  local change = {co2_g = tonumber(take()), unknown_co2_epochs = tonumber(take())}
  add_totals(run_id, day, ARGV[7], change, true)
end
if ARGV[4] == "" then
  redis.call("HDEL", KEYS[1], "co2_g")
else
  redis.call("HSET", KEYS[1], "co2_g", ARGV[4])
end
-- A blank run is in no index of values.
local known = redis.call("HMGET", KEYS[1], "duration_s", "simulated")
if known[1] then
  redis.call("ZADD", key(kind_of(known[2]) .. "by", "co2_g", state[1]), ARGV[4] == "" and "-inf" or ARGV[4], run_id)
end
redis.call("HSET", KEYS[1], "co2_source", ARGV[5], "co2_revisions", ARGV[6])
redis.call("HINCRBY", KEYS[1], "recomputations", 1)
publish("recomputed", run_id)
-- What it saved is computed again as well.
if redis.call("HEXISTS", KEYS[1], "carbon_outcome") == 1 then
  redis.call("ZADD", key("unsettled"), redis.call("TIME")[1], run_id)
end
return 1
