-- give_back: let others fetch what this one said it would, if it still holds that. 0 when it does not.
-- KEYS 1 carbon:fetching:<key> (string: token; expires)
-- ARGV 1 token
if redis.call("GET", KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call("DEL", KEYS[1])
