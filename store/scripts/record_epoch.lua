-- record_epoch: store an epoch, bring summary, sums and indexes up to date. 0 when this attempt recorded it before.
-- KEYS 1 run:<id> (hash)  2 run:<id>:epochs (hash, epoch -> JSON array)  3 run:<id>:attempts (hash)
-- ARGV 1 run_id  2 attempt  3 worker_id  4 epoch  5 the epoch as JSON array, its places in EPOCH
-- Also: runs:by:* (zsets), events (stream)
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

local function plus(sum, value)
  if sum and value then
    return sum + value
  end
  return sum or value
end

-- What the run used: the sum over its attempts, this one with the new epoch.
local sums, this = {}, nil
local attempts = redis.call("HGETALL", KEYS[3])
for i = 1, #attempts, 2 do
  local record = cjson.decode(attempts[i + 1])
  local is_this = attempts[i] == attempt
  this = is_this and record or this
  for _, field in ipairs({"energy_kwh", "co2_g", "duration_s"}) do
    if is_this then
      record[field] = plus(record[field], present(result[EPOCH[field]]))
    end
    sums[field] = plus(sums[field], record[field])
  end
end
for field, sum in pairs(sums) do
  if not is_finite(sum) then
    return redis.error_reply("INVALID " .. field .. " of run " .. run_id .. " would not be finite; nothing was stored.")
  end
end

-- The best and the last epoch. An epoch that replaces another may take the best away, so all are read then.
local summary = redis.call("HMGET", KEYS[1], "best_accuracy", "last_epoch", "energy_quality")
local best, last_epoch = result[EPOCH.test_accuracy], epoch
local last = result
if earlier then
  local stored = redis.call("HGETALL", KEYS[2])
  for i = 1, #stored, 2 do
    local number = tonumber(stored[i])
    local other = number == epoch and result or cjson.decode(stored[i + 1])
    best = math.max(best, other[EPOCH.test_accuracy])
    if number > last_epoch then
      last_epoch, last = number, other
    end
  end
elseif summary[1] then
  best = math.max(best, tonumber(summary[1]))
  if tonumber(summary[2]) > epoch then
    last_epoch, last = tonumber(summary[2]), nil
  end
end

local values = {best_accuracy = best, energy_kwh = sums.energy_kwh, co2_g = sums.co2_g, duration_s = sums.duration_s}
if last then
  values.last_accuracy = last[EPOCH.test_accuracy]
  values.last_loss = last[EPOCH.test_loss]
end
local per_kwh = sums.energy_kwh and best / sums.energy_kwh
if per_kwh and is_finite(per_kwh) then
  values.accuracy_per_kwh = per_kwh
end

redis.call("HSET", KEYS[2], ARGV[4], ARGV[5])
write_attempt(run_id, attempt, this)
redis.call("HSET", KEYS[1], "epochs_done", redis.call("HLEN", KEYS[2]), "last_epoch", last_epoch)
for field, value in pairs(values) do
  redis.call("HSET", KEYS[1], field, digits(value))
end
for _, field in ipairs(SORT_FIELDS) do
  if values[field] then
    index(field, "running", run_id, digits(values[field]))
  end
end
local quality = present(result[EPOCH.energy_quality])
if quality and summary[3] ~= "estimated" then
  redis.call("HSET", KEYS[1], "energy_quality", quality)
end
publish("epoch", run_id, "attempt", attempt, "epoch", epoch)
return 1
