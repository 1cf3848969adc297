-- lead: let one program do what only one may do at a time, and go on doing so. Returns 1 to who does from now on; 0 while another one does.
-- KEYS 1 lock:<job> (string, expires)
-- ARGV 1 who asks  2 milliseconds
local leader = redis.call("GET", KEYS[1])
if leader and leader ~= ARGV[1] then
  return 0
end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
return 1
