-- read_histograms: histograms of names that came behind a number. Returns for each name how many came (0: there are none of
-- it), the stride of those that are kept, and pairs of a number, from 1 in the order in which they came, and an entry.
-- KEYS 1 run:<id>:histograms (hash)
-- ARGV 1 run_id  2 number  3 most of each name: where there are more, they are spread evenly, the newest among them; then names
-- Also: run:<id>:histogram:<name> (lists)
local after, most = tonumber(ARGV[2]), tonumber(ARGV[3])
local found = {}
for i = 4, #ARGV do
  local list = key("histogram", ARGV[1], ARGV[i])
  local came, stride = unpack(cjson.decode(redis.call("HGET", KEYS[1], ARGV[i]) or "[0,1]"))
  local first, last = math.ceil(after / stride), redis.call("LLEN", list) - 1
  local count = after < came and last - first + 1 or 0
  local pairs_of = {}
  local function add(place, entry)
    pairs_of[#pairs_of + 1] = place == last and came or 1 + place * stride
    pairs_of[#pairs_of + 1] = entry
  end
  if count <= most then
    local entries = count > 0 and redis.call("LRANGE", list, first, -1) or {}
    for nth, entry in ipairs(entries) do
      add(first + nth - 1, entry)
    end
  else
    for nth = 0, most - 1 do
      local place = first + math.floor(nth * (count - 1) / (most - 1))
      add(place, redis.call("LINDEX", list, place))
    end
  end
  found[#found + 1] = {came, stride, pairs_of}
end
return found
