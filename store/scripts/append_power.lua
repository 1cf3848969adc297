-- append_power: add points to a run's power over time. Returns the interval of the next points, seconds, as text.
-- KEYS 1 run:<id>:power (list: the interval in seconds, then points as [time, {source: W}])
-- ARGV 1 run_id  2 attempt  3 worker_id  4 most points kept  5 interval of these points, s  6.. points
-- Points not newer than the last one are left out. When the list is full, an even number, each two become one.
local refusal = fence(ARGV[1], ARGV[2], ARGV[3])
if refusal then
  return refusal
end
local stored = redis.call("LRANGE", KEYS[1], 0, -1)
local interval = math.max(tonumber(ARGV[5]), tonumber(stored[1] or 0))
local points, last = {}, -math.huge
for i = 2, #stored do
  points[#points + 1] = cjson.decode(stored[i])
  last = points[#points][1]
end
local known = #points

-- The mean of two points at the end of the second; a source that only one of them knows is left out.
local function merge(first, second)
  local both = {}
  for source, power in pairs(second[2]) do
    if first[2][source] then
      both[source] = tonumber(string.format("%.6g", (first[2][source] + power) / 2))
    end
  end
  return {second[1], both}
end

local is_merged = false
for i = 6, #ARGV do
  local point = cjson.decode(ARGV[i])
  if point[1] > last then
    points[#points + 1] = point
    last = point[1]
  end
  if #points >= tonumber(ARGV[4]) then
    local fewer = {}
    for place = 2, #points, 2 do
      fewer[#fewer + 1] = merge(points[place - 1], points[place])
    end
    points, interval, is_merged = fewer, 2 * interval, true
  end
end

local function write(first)
  for i = first, #points do
    local time = string.format("%.3f", points[i][1])
    local powers = next(points[i][2]) and cjson.encode(points[i][2]) or "{}"
    redis.call("RPUSH", KEYS[1], "[" .. time .. "," .. powers .. "]")
  end
end

if is_merged or known == 0 then
  redis.call("DEL", KEYS[1])
  redis.call("RPUSH", KEYS[1], digits(interval))
  write(1)
else
  redis.call("LSET", KEYS[1], 0, digits(interval))
  write(known + 1)
end
return digits(interval)
