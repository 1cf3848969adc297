-- take_in_totals: keep the totals of another store, where nothing was counted yet. Returns how many those are; 0 where something
-- was: a sum of both would count twice what is taken in twice.
-- KEYS 1 totals:all (hash)  2 totals:projects (set)
-- ARGV 1 totals, a JSON list of kind of key, name and fields
-- Also: totals:day:<day>, totals:project:<project>, carbon:saved:<project> (hashes)
if redis.call("EXISTS", KEYS[1], KEYS[2]) > 0 then
  return 0
end
local totals = cjson.decode(ARGV[1])
for _, total in ipairs(totals) do
  for field, value in pairs(total[3]) do
    redis.call("HSET", key(total[1], total[2]), field, value)
  end
  if total[1] == "total_project" then
    redis.call("SADD", KEYS[2], total[2])
  end
end
return #totals
