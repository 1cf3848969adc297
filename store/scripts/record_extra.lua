-- record_extra: add what an attempt used besides its epochs to its sums, the run's and the totals. 0 when it was added
-- before, and for a simulated run, which uses nothing of its own.
-- KEYS 1 run:<id> (hash)  2 run:<id>:attempts (hash)  3 run:<id>:extras (hash, attempt:name -> JSON array)
-- ARGV 1 run_id  2 attempt  3 worker_id  4 name  5 the cost as JSON array, its places in EXTRA
--      6 day it counts on, YYYY-MM-DD  7 project
-- Also: runs:* (zsets), totals:* (hashes, set). The fact <name>_energy_kwh stands in the run's environment.
local run_id, attempt, name = ARGV[1], ARGV[2], ARGV[4]
local refusal = fence(run_id, attempt, ARGV[3])
if refusal then
  return refusal
end
local place = attempt .. ":" .. name
local known = redis.call("HMGET", KEYS[1], "environment", "best_accuracy", "energy_quality", "simulated")
if known[4] or redis.call("HEXISTS", KEYS[3], place) == 1 then
  return 0
end
local given = cjson.decode(ARGV[5])
local cost = {
  energy_kwh = present(given[EXTRA.energy_kwh]),
  co2_g = present(given[EXTRA.co2_g]),
  duration_s = given[EXTRA.duration_s],
  unknown_energy_epochs = 0,
}
local sums, this, invalid = sum_attempts(run_id, attempt, cost)
if invalid then
  return invalid
end
local per_kwh = known[2] and sums.energy_kwh and tonumber(known[2]) / sums.energy_kwh
if per_kwh and is_finite(per_kwh) then
  sums.accuracy_per_kwh = per_kwh
end

local facts = cjson.decode(known[1] or "{}")
facts[name .. "_energy_kwh"] = given[EXTRA.energy_kwh]
this.energy_reason = present(given[EXTRA.energy_reason]) or this.energy_reason
redis.call("HSET", KEYS[3], place, ARGV[5])
write_attempt(run_id, attempt, this)
write_values(run_id, sums, "environment", encode_object(facts))
index_values(run_id, sums, {"energy_kwh", "co2_g", "duration_s", "accuracy_per_kwh"})
note_quality(run_id, given[EXTRA.energy_quality], known[3])
cost.unknown_energy_epochs = cost.energy_kwh and 0 or 1
cost.extras = 1
cost.unknown_co2_epochs = cost.co2_g and 0 or 1
add_totals(run_id, ARGV[6], ARGV[7], cost)
return 1
