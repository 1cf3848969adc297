-- use_token: note when a token was used last, unless it was revoked meanwhile. Returns 1, or 0 when there is none.
-- KEYS 1 access:tokens  2 access:tokens:used (hashes)
-- ARGV 1 its id  2 seconds
local is_known = redis.call("HEXISTS", KEYS[1], ARGV[1])
if is_known == 1 then
  redis.call("HSET", KEYS[2], ARGV[1], ARGV[2])
end
return is_known
