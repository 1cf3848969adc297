-- page: one page of sorted indexes that are read as one, in O(log n + page). Returns {1 if more follow,
-- {run_id, score, ...}, {size of each key}}.
-- Runs without a value have the score -inf and come last in both orders. Reads only.
-- KEYS the indexes that are walked, then those that are only counted (zsets runs:by:*, runs:blank:*, runs:simulated:*)
-- ARGV 1 asc or desc  2 limit  3 how many of KEYS are walked  4 score and 5 run_id of the last run seen, or absent
local ascending, limit = ARGV[1] == "asc", tonumber(ARGV[2])

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
local function rank_of(index, score, run_id)
  local low = redis.call("ZCOUNT", index, "-inf", "(" .. score)
  local high = redis.call("ZCOUNT", index, "-inf", score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if is_before(redis.call("ZRANGE", index, middle, middle)[1], run_id) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

-- How many members of an index come before the page, in the order shown: ascending shows the ranks from
-- ``without_value`` on, then those below it.
local function position_in(index, total, without_value)
  if not ARGV[4] then
    return 0
  end
  local rank = rank_of(index, ARGV[4], ARGV[5])
  local is_there = redis.call("ZRANGE", index, rank, rank)[1] == ARGV[5]
  if not ascending then
    return total - rank
  end
  local next_rank = is_there and rank + 1 or rank
  return ARGV[4] == "-inf" and total - without_value + next_rank or math.max(next_rank - without_value, 0)
end

-- The page of one index: {run_id, score, ...}, and whether more of it follow.
local function read(index, total)
  local without_value = redis.call("ZCOUNT", index, "-inf", "-inf")
  local position = position_in(index, total, without_value)
  local count = math.min(limit, total - position)
  local rows = {}
  local function add(first, wanted, command)
    if wanted > 0 then
      for _, cell in ipairs(redis.call(command, index, first, first + wanted - 1, "WITHSCORES")) do
        rows[#rows + 1] = cell
      end
    end
  end
  if not ascending then
    add(position, count, "ZREVRANGE")
  else
    local valued = math.max(0, math.min(count, total - without_value - position))
    add(position + without_value, valued, "ZRANGE")
    add(math.max(0, position + valued - (total - without_value)), count - valued, "ZRANGE")
  end
  return rows, position + count < total
end

-- True when the first of two rows is shown before the second one.
local function is_first(run_id, score, other_id, other_score)
  if score == other_score then
    return is_before(run_id, other_id) == ascending
  end
  local a, b = tonumber(score), tonumber(other_score)
  if a == -math.huge or b == -math.huge then
    return b == -math.huge
  end
  return (a < b) == ascending
end

local sizes, heads, has_more = {}, {}, false
for place, index in ipairs(KEYS) do
  sizes[place] = redis.call("ZCARD", index)
  if place <= tonumber(ARGV[3]) and sizes[place] > 0 then
    local rows, more = read(index, sizes[place])
    has_more = has_more or more
    heads[#heads + 1] = {rows = rows, next = 1}
  end
end
if #heads == 1 then
  return {has_more and 1 or 0, heads[1].rows, sizes}
end

local merged = {}
while #merged < 2 * limit do
  local best
  for _, head in ipairs(heads) do
    local rows, i = head.rows, head.next
    if rows[i] and (not best
      or is_first(rows[i], rows[i + 1], best.rows[best.next], best.rows[best.next + 1])) then
      best = head
    end
  end
  if not best then
    break
  end
  merged[#merged + 1] = best.rows[best.next]
  merged[#merged + 1] = best.rows[best.next + 1]
  best.next = best.next + 2
end
for _, head in ipairs(heads) do
  has_more = has_more or head.rows[head.next] ~= nil
end
return {has_more and 1 or 0, merged, sizes}
