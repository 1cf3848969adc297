-- page: one page of a sorted index, in O(log n + page). Returns {its size, 1 if more follow, {run_id, score, ...},
-- size of the other index}.
-- Runs without a value have the score -inf and come last in both orders. Reads only.
-- KEYS 1 runs:by:<field> or runs:by:<field>:<status>, or runs:simulated:by:… (zset)
--      2 the other of the two (zset), or absent: counted only
-- ARGV 1 asc or desc  2 limit  3 score and 4 run_id of the last run already seen, or absent
local ascending, limit = ARGV[1] == "asc", tonumber(ARGV[2])
local total = redis.call("ZCARD", KEYS[1])
local without_value = redis.call("ZCOUNT", KEYS[1], "-inf", "-inf")

-- Byte by byte, as Redis orders members; Lua's < would follow the server's locale.
local function is_before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then
      return x < y
    end
  end
  return #a < #b
end

-- How many members come before (score, id): by rank among equal scores, so that ties cost a logarithm too.
local function rank_of(score, run_id)
  local low = redis.call("ZCOUNT", KEYS[1], "-inf", "(" .. score)
  local high = redis.call("ZCOUNT", KEYS[1], "-inf", score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if is_before(redis.call("ZRANGE", KEYS[1], middle, middle)[1], run_id) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

-- A position counts in the order shown: ascending shows the ranks from without_value on, then those below it.
local position = 0
if ARGV[3] then
  local rank = rank_of(ARGV[3], ARGV[4])
  if not ascending then
    position = total - rank
  else
    local is_there = redis.call("ZRANGE", KEYS[1], rank, rank)[1] == ARGV[4]
    local next_rank = is_there and rank + 1 or rank
    position = ARGV[3] == "-inf" and total - without_value + next_rank or next_rank - without_value
  end
end

local rows = {}
local function add(first, count, command)
  if count > 0 then
    for _, cell in ipairs(redis.call(command, KEYS[1], first, first + count - 1, "WITHSCORES")) do
      rows[#rows + 1] = cell
    end
  end
end

local count = math.min(limit, total - position)
if not ascending then
  add(position, count, "ZREVRANGE")
else
  local valued = math.max(0, math.min(count, total - without_value - position))
  add(position + without_value, valued, "ZRANGE")
  add(math.max(0, position + valued - (total - without_value)), count - valued, "ZRANGE")
end
return {total, position + count < total and 1 or 0, rows, KEYS[2] and redis.call("ZCARD", KEYS[2]) or 0}
