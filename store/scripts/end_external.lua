-- end_external: end a run as its script says. Returns its hash. The same status again is a no-op, another one after the
-- end CONFLICT, unless the run ended for its silence. What a session says after which another one opened the run is a no-op.
-- KEYS 1 run:<id> (hash)
-- ARGV 1 run_id  2 done, failed or cancelled  3 reason or ""  4 error as JSON or ""  5 session or ""
-- Also: runs:external, runs:* (zsets), run:<id>:log, events (streams)
local run_id, status = ARGV[1], ARGV[2]
local state, refusal = find_external(run_id)
if refusal then
  return refusal
end
if is_superseded(run_id, ARGV[5]) then
  return redis.call("HGETALL", KEYS[1])
end
if state.status ~= "running" and not state.is_silent then
  if state.status == status then
    return redis.call("HGETALL", KEYS[1])
  end
  return conflict(run_id, state.status, "it cannot become " .. status .. ". Resume it first.")
end
local time = now()
if state.is_silent then
  hear(run_id, state, time)
end
local reason = status == "cancelled" and state.request == "cancel" and ARGV[3] == "" and "cancelled on request" or ARGV[3]
redis.call("HDEL", KEYS[1], "request", "status_reason")
redis.call("ZREM", key("external"), run_id)
close_run(run_id, "running", status, reason, ARGV[4], time)
publish(status, run_id)
return redis.call("HGETALL", KEYS[1])
