-- live_update: take points of a loss curve and tiles of a live view. Returns {points taken, 1 if a mosaic was completed}.
-- KEYS 1 live:<view> (hash)  2 live:<view>:updates (stream)  3 live:<view>:pending (list)  4 live:<view>:mosaic (string)
-- ARGV 1 1 to start anew first  2 after how many quiet seconds an iteration of 0 or 1 starts anew, or ""  3 seconds the view is
--      kept, or ""  4 updates kept  5 tiles of a mosaic  6 fields of the entry as JSON: {batch_size, delay_ms}
--      7 number of points  8.. iteration and loss of each, in turn, then the tiles as JSON
-- Points not newer than the newest one known are left out; when none is left, the tiles count for nothing either.
local time = tonumber(now())
local state = redis.call("HMGET", KEYS[1], "iteration", "updated_at", "mosaic", "is_ready")
local newest = tonumber(state[1] or -1)
local count = tonumber(ARGV[7])
local size = tonumber(ARGV[5])

local is_quiet = state[2] and ARGV[2] ~= "" and time - state[2] >= tonumber(ARGV[2])
if ARGV[1] == "1" or (is_quiet and count > 0 and tonumber(ARGV[8]) <= 1) then
  -- Not deleted: the ids of its entries have to go on rising, or a reader would miss the next ones.
  redis.call("XTRIM", KEYS[2], "MAXLEN", 0)
  redis.call("XADD", KEYS[2], "*", "is_start", "1")
  redis.call("DEL", KEYS[3], KEYS[4])
  redis.call("HDEL", KEYS[1], "iteration", "updated_at", "is_ready")
  newest, state[4] = -1, nil
end

local taken, iteration = {}, newest
for i = 8, 6 + 2 * count, 2 do
  if tonumber(ARGV[i]) > iteration then
    iteration = tonumber(ARGV[i])
    taken[#taken + 1] = "[" .. ARGV[i] .. "," .. ARGV[i + 1] .. "]"
  end
end
local is_complete = false
if #taken > 0 then
  local tiles = {}
  for i = 8 + 2 * count, #ARGV do
    tiles[#tiles + 1] = ARGV[i]
  end
  if #tiles > 0 and #tiles < size then
    redis.call("RPUSH", KEYS[3], unpack(tiles))
    tiles = {}
    if redis.call("LLEN", KEYS[3]) >= size then
      tiles = redis.call("LRANGE", KEYS[3], 0, size - 1)
      redis.call("LTRIM", KEYS[3], size, -1)
    end
  elseif #tiles > 0 then
    redis.call("DEL", KEYS[3])
  end
  is_complete = #tiles > 0
  local number = tonumber(state[3] or 0)
  if is_complete then
    number = number + 1
    redis.call("SET", KEYS[4], string.format('{"number":%d,"iteration":%.0f,"tiles":[%s]}', number, iteration,
      table.concat(tiles, ",")))
  end
  local has_tiles = #ARGV >= 8 + 2 * count
  local is_ready = has_tiles and (is_complete and "1" or "0") or state[4] or "0"
  redis.call("HSET", KEYS[1], "iteration", string.format("%.0f", iteration), "updated_at", digits(time), "mosaic", number,
    "is_ready", is_ready)
  redis.call("XADD", KEYS[2], "MAXLEN", "~", ARGV[4], "*", "points", "[" .. table.concat(taken, ",") .. "]", "rest", ARGV[6],
    "aggregated", redis.call("LLEN", KEYS[3]), "is_ready", is_ready, "mosaic", number)
end
if ARGV[3] ~= "" then
  for _, place in ipairs(KEYS) do
    redis.call("EXPIRE", place, ARGV[3])
  end
end
return {#taken, is_complete and 1 or 0}
