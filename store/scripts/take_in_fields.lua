-- take_in_fields: keep what an export has of a kind, of what is not known by its name. Returns how many those are; -1 when there
-- would be more than there may be: then none is kept.
-- KEYS 1 views:saved, alerts:rules, projects:retention or quotas:limits (hash: name -> JSON)
-- ARGV 1 the most there may be, 0 for any number; then names and JSON
local new = {}
for i = 2, #ARGV, 2 do
  if redis.call("HEXISTS", KEYS[1], ARGV[i]) == 0 then
    new[#new + 1] = i
  end
end
local most = tonumber(ARGV[1])
if most > 0 and #new > 0 and redis.call("HLEN", KEYS[1]) + #new > most then
  return -1
end
for _, i in ipairs(new) do
  redis.call("HSET", KEYS[1], ARGV[i], ARGV[i + 1])
end
return #new
