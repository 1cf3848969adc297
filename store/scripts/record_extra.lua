-- record_extra: add what an attempt used besides its epochs to its sums and the run's. 0 when it was added before.
-- KEYS 1 run:<id> (hash)  2 run:<id>:attempts (hash)
-- ARGV 1 run_id  2 attempt  3 worker_id  4 name  5 the cost as JSON: energy_kwh, energy_quality, co2_g, duration_s
-- Also: runs:by:* (zsets). The facts <name>_kwh and <name>_attempt stand in the run's environment.
local run_id, attempt, name = ARGV[1], ARGV[2], ARGV[4]
local refusal = fence(run_id, attempt, ARGV[3])
if refusal then
  return refusal
end
local known = redis.call("HMGET", KEYS[1], "environment", "best_accuracy", "energy_quality")
local facts = cjson.decode(known[1] or "{}")
if facts[name .. "_attempt"] == tonumber(attempt) then
  return 0
end
local given = cjson.decode(ARGV[5])
local cost = {
  energy_kwh = present(given.energy_kwh),
  co2_g = present(given.co2_g),
  duration_s = given.duration_s,
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

facts[name .. "_kwh"] = given.energy_kwh
facts[name .. "_attempt"] = tonumber(attempt)
write_attempt(run_id, attempt, this)
redis.call("HSET", KEYS[1], "environment", encode_object(facts))
redis.call("HDEL", KEYS[1], "energy_kwh", "co2_g", "accuracy_per_kwh")
for field, value in pairs(sums) do
  redis.call("HSET", KEYS[1], field, digits(value))
end
for _, field in ipairs({"energy_kwh", "co2_g", "duration_s", "accuracy_per_kwh"}) do
  index(field, "running", run_id, sums[field] and digits(sums[field]) or "-inf")
end
local quality = present(given.energy_quality)
if quality and known[3] ~= "estimated" then
  redis.call("HSET", KEYS[1], "energy_quality", quality)
end
return 1
