-- reopen_external: let the script of a run go on with it, also after it ended. Returns its hash.
-- KEYS 1 run:<id> (hash)
-- ARGV 1 run_id
-- Also: runs:external, runs:* (zsets), run:<id>:log, events (streams)
local run_id, time = ARGV[1], now()
local state, refusal = find_external(run_id)
if refusal then
  return refusal
end
if state.is_silent then
  hear(run_id, state, time)
elseif state.status == "running" then
  -- Nobody knows since when its script did not run: that time is none of its duration.
  redis.call("HSET", KEYS[1], "heard_at", time)
  redis.call("ZADD", key("external"), time, run_id)
else
  reopen(run_id, state, time, "resumed by its script after it was " .. state.status)
end
return redis.call("HGETALL", KEYS[1])
