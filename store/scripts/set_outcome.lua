-- set_outcome: note what a run that has ended emitted, and add what it saved to the total of its week; an earlier outcome
-- of it is taken out of that first. What simulated runs made up is in no total. 0 when the run was tried again meanwhile,
-- or does not follow the grid.
-- KEYS 1 run:<id> (hash)  2 carbon:saved:<project> (hash, week -> JSON)
-- ARGV 1 run_id  2 attempt it had when it was read  3 the outcome as JSON
-- Also: carbon:unsettled (zset), events (stream)
local run_id = ARGV[1]
local known = redis.call("HMGET", KEYS[1], "status", "attempt", "planning", "carbon_outcome", "simulated")
local has_ended = known[1] == "done" or known[1] == "failed" or known[1] == "cancelled"
if not has_ended or not known[3] or (known[2] or "0") ~= ARGV[2] then
  return 0
end
redis.call("ZREM", key("unsettled"), run_id)
if known[4] == ARGV[3] then
  return 1
end

local function add(outcome, sign)
  local saved = present(outcome.saved_g)
  if known[5] or not saved then
    return
  end
  local total = cjson.decode(redis.call("HGET", KEYS[2], outcome.week) or "{}")
  local parts = {
    runs = 1, saved_g = saved, co2_g = outcome.co2_g, run_now_co2_g = outcome.run_now_co2_g, energy_kwh = outcome.energy_kwh,
  }
  for name, part in pairs(parts) do
    -- outcomes have six digits; what comes after twelve in their sum is the noise of adding
    local sum = tonumber(string.format("%.12g", (total[name] or 0) + sign * (present(part) or 0)))
    total[name] = name == "saved_g" and sum or math.max(0, sum)
  end
  if total.runs == 0 then
    redis.call("HDEL", KEYS[2], outcome.week)
  else
    redis.call("HSET", KEYS[2], outcome.week, encode_object(total))
  end
end

if known[4] then
  add(cjson.decode(known[4]), -1)
end
add(cjson.decode(ARGV[3]), 1)
redis.call("HSET", KEYS[1], "carbon_outcome", ARGV[3])
publish("settled", run_id)
return 1
