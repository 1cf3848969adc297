-- delete_sweep: forget a sweep that has ended, and its journal; its runs stay. Returns its whole hash as it was; nil when there
-- is none, CONFLICT when it has not ended.
-- KEYS 1 sweep:<sweep> (hash)  2 sweep:<sweep>:journal (list)
-- ARGV 1 sweep id
-- Also: sweeps:order (zset), sweeps:active (set)
local stored = redis.call("HGETALL", KEYS[1])
if #stored == 0 then
  return nil
end
local state = redis.call("HGET", KEYS[1], "state")
if state ~= "done" and state ~= "stopped" and state ~= "failed" then
  return redis.error_reply("CONFLICT Sweep " .. ARGV[1] .. " has not ended. Stop it first.")
end
redis.call("UNLINK", KEYS[1], KEYS[2])
redis.call("ZREM", key("sweep_order"), ARGV[1])
redis.call("SREM", key("sweep_active"), ARGV[1])
return stored
