-- steer_sweep: pause, resume or stop a sweep. Returns its whole hash; nil when there is none, CONFLICT when it has ended or is
-- being stopped. One that is so already is a no-op.
-- KEYS 1 sweep:<sweep> (hash)
-- ARGV 1 sweep id  2 running, paused or stopping
local state = redis.call("HGET", KEYS[1], "state")
if not state then
  return nil
end
if state ~= ARGV[2] then
  if state ~= "running" and state ~= "paused" then
    local so = state == "stopping" and "is being stopped" or "has ended"
    return redis.error_reply("CONFLICT Sweep " .. ARGV[1] .. " " .. so .. ". Start a new one with the same request.")
  end
  redis.call("HSET", KEYS[1], "state", ARGV[2])
end
return redis.call("HGETALL", KEYS[1])
