-- reopen_external: let the script of a run go on with it, also after it ended. Returns its hash. A session that opened it
-- before another one did is a no-op: it says again what the other one has heard.
-- KEYS 1 run:<id>  2 run:<id>:sources (hashes)
-- ARGV 1 run_id  2 session or ""  3 most sessions of a run
-- Also: runs:external, runs:* (zsets), run:<id>:log, events (streams)
local run_id, time = ARGV[1], now()
local state, refusal = find_external(run_id)
if refusal then
  return refusal
end
local session = ARGV[2]
local has_opened = session ~= "" and redis.call("HEXISTS", KEYS[2], session .. ":open") == 1
if has_opened and is_superseded(run_id, session) then
  return redis.call("HGETALL", KEYS[1])
end
if session ~= "" and not has_opened and redis.call("HLEN", KEYS[2]) >= tonumber(ARGV[3]) then
  return redis.error_reply("INVALID Run " .. run_id .. " has had " .. ARGV[3]
    .. " sessions, and no more are kept apart. It was not opened.")
end
open_session(run_id, session)
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
