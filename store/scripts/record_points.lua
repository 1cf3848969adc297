-- record_points: take in one batch of a run's metrics. Returns {points added, what the script is asked for or ""}; 0
-- points and no change for a batch that came before. INVALID where it would pass a limit; nothing is written then.
-- KEYS 1 run:<id>  2 run:<id>:metrics  3 run:<id>:sources (hashes)
-- ARGV 1 run_id  2 session  3 number of the batch  4 most metrics of a run  5 most points of a metric
--      6 most sessions of a run  7 day it counts on, YYYY-MM-DD; then for each metric: its name, its points as
--      records of 24 bytes, and of these points what METRIC names, one argument each
-- Also: run:<id>:points:<name> (strings), runs:external, runs:* (zsets), totals:* (hashes, set),
--       run:<id>:log, events (streams)
local run_id, session, number = ARGV[1], ARGV[2], ARGV[3]
local state, refusal = find_external(run_id)
if refusal then
  return refusal
end
if is_repeated(run_id, session, number) then
  return {0, state.request}
end

local function invalid(sentence)
  return redis.error_reply("INVALID " .. sentence .. " Nothing of this batch was stored.")
end

-- True when the first of two whole numbers, texts because a step may have more digits than a Lua number, is larger.
local function is_larger(a, b)
  return #a > #b or #a == #b and a > b
end

-- The finite one of two, or the one that ``choose`` chooses; "" is none.
local function extreme(choose, a, b)
  if a == "" or b == "" then
    return a == "" and b or a
  end
  return choose(tonumber(a), tonumber(b)) == tonumber(a) and a or b
end

-- Adds what is known of new points to what is known of a metric, arrays of texts both.
local function merge(known, new)
  if not known then
    return new
  end
  local is_last = not is_larger(known[METRIC.last_step], new[METRIC.last_step])
  return {
    string.format("%.0f", known[METRIC.count] + new[METRIC.count]),
    (is_last and new or known)[METRIC.last_step],
    (is_last and new or known)[METRIC.last_value],
    extreme(math.min, known[METRIC.min], new[METRIC.min]),
    extreme(math.max, known[METRIC.max], new[METRIC.max]),
    digits(known[METRIC.sum] + new[METRIC.sum]),
    string.format("%.0f", known[METRIC.unknown] + new[METRIC.unknown]),
  }
end

-- Everything is checked and computed before the first write.
local width = 2 + METRIC_WIDTH
local metrics, news, added = {}, 0, 0
local new_of = {}
for place = 8, #ARGV, width do
  local name, new = ARGV[place], {}
  for i = 1, METRIC_WIDTH do
    new[i] = ARGV[place + 1 + i]
  end
  local stored = redis.call("HGET", KEYS[2], name)
  local merged = merge(stored and cjson.decode(stored), new)
  if tonumber(merged[METRIC.count]) > tonumber(ARGV[5]) then
    return invalid("The metric " .. name .. " of run " .. run_id .. " would have more than " .. ARGV[5]
      .. " points, the limit set by WATTLE_MAX_METRIC_POINTS.")
  end
  if not stored then
    news = news + 1
  end
  added = added + new[METRIC.count]
  new_of[name] = new
  metrics[#metrics + 1] = {name = name, points = ARGV[place + 1], merged = merged}
end
if news > 0 and redis.call("HLEN", KEYS[2]) + news > tonumber(ARGV[4]) then
  return invalid("Run " .. run_id .. " would have more than " .. ARGV[4]
    .. " metrics, the limit set by WATTLE_MAX_METRICS.")
end
if redis.call("HEXISTS", KEYS[3], session) == 0 and redis.call("HLEN", KEYS[3]) >= tonumber(ARGV[6]) then
  return invalid("Run " .. run_id .. " has had " .. ARGV[6] .. " sessions, and no more are kept apart.")
end

take_number(run_id, session, number)
tally("metric_points", added)
for _, metric in ipairs(metrics) do
  redis.call("APPEND", key("points", run_id, metric.name), metric.points)
  redis.call("HSET", KEYS[2], metric.name, cjson.encode(metric.merged))
end
hear(run_id, state, now(), ARGV[7], true)

-- The run's summary, from the metrics of these names: all read at once.
local names = {"energy_kwh", "co2_g", "epoch"}
for _, list in ipairs({ACCURACIES, LOSSES}) do
  for _, name in ipairs(list) do
    names[#names + 1] = name
  end
end
local stored_of = {}
for place, stored in ipairs(redis.call("HMGET", KEYS[2], unpack(names))) do
  stored_of[names[place]] = stored
end
local function read(name)
  local stored = stored_of[name]
  return stored and cjson.decode(stored) or nil
end
local function within(text, low, high)
  local value = tonumber(text)
  return value and value == value and value >= low and value <= high and value or nil
end
local function sum_of(metric)
  if metric and metric[METRIC.unknown] == "0" then
    return within(metric[METRIC.sum], 0, 1e308)
  end
end
local values = {duration_s = state.duration_s}
for _, name in ipairs(ACCURACIES) do
  local accuracy = read(name)
  if accuracy and within(accuracy[METRIC.min], 0, 1) and within(accuracy[METRIC.max], 0, 1) then
    values.best_accuracy = tonumber(accuracy[METRIC.max])
    values.last_accuracy = within(accuracy[METRIC.last_value], 0, 1)
    break
  end
end
for _, name in ipairs(LOSSES) do
  local loss = read(name)
  if loss then
    values.last_loss = within(loss[METRIC.last_value], -1e308, 1e308)
    break
  end
end
local energy = read("energy_kwh")
values.energy_kwh = sum_of(energy)
values.co2_g = sum_of(read("co2_g"))
local per_kwh = values.energy_kwh and values.best_accuracy and values.best_accuracy / values.energy_kwh
if per_kwh and is_finite(per_kwh) then
  values.accuracy_per_kwh = per_kwh
end
local unknown = {}
for _, field in ipairs({"best_accuracy", "last_accuracy", "last_loss"}) do
  if not values[field] then
    unknown[#unknown + 1] = field
  end
end
if #unknown > 0 then
  redis.call("HDEL", KEYS[1], unpack(unknown))
end
local epoch = read("epoch")
local epochs_done = math.floor(epoch and within(epoch[METRIC.max], 0, 1e9) or 0)
values.unknown_energy_epochs = energy and tonumber(energy[METRIC.unknown]) or 0
write_values(run_id, values, "epochs_done", epochs_done)
index_values(run_id, values, SORT_FIELDS, state.status)

local cost = {}
for _, name in ipairs({"energy_kwh", "co2_g"}) do
  local new = new_of[name]
  local known = new and within(new[METRIC.sum], 0, 1e308)
  if known and known > 0 then
    cost[name] = known
  end
end
if next(cost) then
  add_totals(run_id, ARGV[7], state.project, cost)
end
if state.status ~= "running" then
  publish("amended", run_id)
end
return {added, state.request}
