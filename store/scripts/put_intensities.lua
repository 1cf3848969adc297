-- put_intensities: add values to what was recorded of a zone; a value that is known replaces one, a missing one does not.
-- Everything is replaced when basis or step are others: these are never mixed. Returns how many days are kept.
-- KEYS 1 carbon:intensities:<zone>:<provider> (hash: basis, step_s, and day -> JSON array of its slots)
-- ARGV 1 basis  2 step_s  3 the oldest day kept, YYYY-MM-DD  4.. day, JSON array in turn
local known = redis.call("HMGET", KEYS[1], "basis", "step_s")
if known[1] ~= ARGV[1] or known[2] ~= ARGV[2] then
  redis.call("DEL", KEYS[1])
  redis.call("HSET", KEYS[1], "basis", ARGV[1], "step_s", ARGV[2])
end
for i = 4, #ARGV, 2 do
  local earlier = cjson.decode(redis.call("HGET", KEYS[1], ARGV[i]) or "[]")
  local parts = {}
  for slot, value in ipairs(cjson.decode(ARGV[i + 1])) do
    if value == cjson.null then
      value = earlier[slot] or cjson.null
    end
    parts[slot] = value == cjson.null and "null" or digits(value)
  end
  redis.call("HSET", KEYS[1], ARGV[i], "[" .. table.concat(parts, ",") .. "]")
end
local days = 0
for _, field in ipairs(redis.call("HKEYS", KEYS[1])) do
  if string.find(field, "^%d") then
    if field < ARGV[3] then
      redis.call("HDEL", KEYS[1], field)
    else
      days = days + 1
    end
  end
end
return days
