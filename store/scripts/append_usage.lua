-- append_usage: add points to a run's usage over time. Returns the interval of the next points, seconds, as text.
-- KEYS 1 run:<id>:usage (list: [interval in seconds, names of columns..], then points as [time, values or null..])
-- ARGV 1 run_id  2 attempt  3 worker_id  4 most points kept  5 interval of these points, s
--      6.. points, as [time, {name: value}]
-- Points not newer than the last one are left out. When the list is full, an even number, each two become one.
local refusal = fence(ARGV[1], ARGV[2], ARGV[3])
if refusal then
  return refusal
end
local stored = redis.call("LRANGE", KEYS[1], 0, -1)
local head = stored[1] and cjson.decode(stored[1]) or {0}
local interval = math.max(tonumber(ARGV[5]), head[1])
local columns, place_of = {}, {}
for i = 2, #head do
  columns[i - 1], place_of[head[i]] = head[i], i - 1
end
local points, last = {}, -math.huge
for i = 2, #stored do
  points[#points + 1] = cjson.decode(stored[i])
  last = points[#points][1]
end
local known, known_columns = #points, #columns

-- A point as it is stored: its values in the order of the columns, of which it may bring new ones.
local function to_row(point)
  local row, names = {point[1]}, {}
  for name in pairs(point[2]) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    if not place_of[name] then
      columns[#columns + 1] = name
      place_of[name] = #columns
    end
    row[place_of[name] + 1] = point[2][name]
  end
  return row
end

-- The mean of two points at the end of the second; a value that only one of them knows is left out.
local function merge(first, second)
  local both = {second[1]}
  for i = 2, #columns + 1 do
    if type(first[i]) == "number" and type(second[i]) == "number" then
      both[i] = tonumber(string.format("%.5g", (first[i] + second[i]) / 2))
    end
  end
  return both
end

local is_merged = false
for i = 6, #ARGV do
  local point = cjson.decode(ARGV[i])
  if point[1] > last then
    points[#points + 1] = to_row(point)
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
    local cells = {string.format("%.0f", points[i][1])}
    for place = 2, #columns + 1 do
      local value = points[i][place]
      cells[place] = type(value) == "number" and digits(value) or "null"
    end
    redis.call("RPUSH", KEYS[1], "[" .. table.concat(cells, ",") .. "]")
  end
end

local names = {digits(interval)}
for i, name in ipairs(columns) do
  names[i + 1] = cjson.encode(name)
end
local text = "[" .. table.concat(names, ",") .. "]"
if is_merged or known == 0 or #columns > known_columns then
  redis.call("DEL", KEYS[1])
  redis.call("RPUSH", KEYS[1], text)
  write(1)
else
  redis.call("LSET", KEYS[1], 0, text)
  write(known + 1)
end
return digits(interval)
