-- record_epoch: store an epoch, bring summary, sums and indexes up to date. 0 when this attempt recorded it before.
-- KEYS 1 run:<id> (hash)  2 run:<id>:epochs (hash, epoch -> JSON array)  3 run:<id>:attempts (hash)
-- ARGV 1 run_id  2 attempt  3 worker_id  4 epoch  5 the epoch as JSON array, its places in EPOCH
--      6 day it counts on, YYYY-MM-DD  7 project
-- Also: run:<id>:superseded (hash), runs:* (zsets), totals:* (hashes, set), events (stream)
-- Epochs that an earlier attempt recorded at this place or behind it are superseded: no longer epochs of the run,
-- while what they cost stays in its sums.
local run_id, attempt, epoch = ARGV[1], ARGV[2], tonumber(ARGV[4])
local refusal = fence(run_id, attempt, ARGV[3])
if refusal then
  return refusal
end
local result = cjson.decode(ARGV[5])
local earlier = redis.call("HGET", KEYS[2], ARGV[4])
if earlier and cjson.decode(earlier)[EPOCH.attempt] == tonumber(attempt) then
  return 0
end

local cost = {
  energy_kwh = present(result[EPOCH.energy_kwh]),
  co2_g = present(result[EPOCH.co2_g]),
  -- The earlier part was charged to the attempt that trained it. Of the two numbers one is rounded.
  duration_s = math.max(0, result[EPOCH.duration_s] - (present(result[EPOCH.resumed_after_s]) or 0)),
}
cost.unknown_energy_epochs = cost.energy_kwh and 0 or 1

-- What the run used: the sum over its attempts, this one with the new epoch.
local values, this, invalid = sum_attempts(run_id, attempt, cost)
if invalid then
  return invalid
end

-- The best and the last epoch. One that is not behind all others may replace one and end the time of those
-- that an earlier attempt recorded behind it, which this attempt will train again; so all are read then.
local summary = redis.call("HMGET", KEYS[1], "best_accuracy", "last_epoch", "energy_quality")
local last_epoch, last = epoch, result
local outdated = {}
values.best_accuracy = result[EPOCH.test_accuracy]
if summary[2] and tonumber(summary[2]) >= epoch then
  local stored = redis.call("HGETALL", KEYS[2])
  for i = 1, #stored, 2 do
    local number, other = tonumber(stored[i]), cjson.decode(stored[i + 1])
    if number > epoch and other[EPOCH.attempt] < tonumber(attempt) then
      outdated[#outdated + 1] = stored[i]
    elseif number ~= epoch then
      values.best_accuracy = math.max(values.best_accuracy, other[EPOCH.test_accuracy])
      if number > last_epoch then
        last_epoch, last = number, other
      end
    end
  end
elseif summary[1] then
  values.best_accuracy = math.max(values.best_accuracy, tonumber(summary[1]))
end
values.last_accuracy = last[EPOCH.test_accuracy]
values.last_loss = last[EPOCH.test_loss]
local per_kwh = values.energy_kwh and values.best_accuracy / values.energy_kwh
if per_kwh and is_finite(per_kwh) then
  values.accuracy_per_kwh = per_kwh
end

if earlier then
  outdated[#outdated + 1] = ARGV[4]
end
for _, number in ipairs(outdated) do
  local array = redis.call("HGET", KEYS[2], number)
  local place = cjson.decode(array)[EPOCH.attempt] .. ":" .. number
  redis.call("HSET", key("superseded", run_id), place, array)
  redis.call("HDEL", KEYS[2], number)
end
redis.call("HSET", KEYS[2], ARGV[4], ARGV[5])
write_attempt(run_id, attempt, this)
write_values(run_id, values, "epochs_done", redis.call("HLEN", KEYS[2]), "last_epoch", last_epoch)
index_values(run_id, values, SORT_FIELDS)
note_quality(run_id, result[EPOCH.energy_quality], summary[3])
observe(kind_of(redis.call("HEXISTS", KEYS[1], "simulated") == 1) .. "epoch_seconds", result[EPOCH.duration_s])
cost.epochs = 1
cost.unknown_co2_epochs = cost.co2_g and 0 or 1
add_totals(run_id, ARGV[6], ARGV[7], cost)
publish("epoch", run_id, "attempt", attempt, "epoch", epoch)
return 1
