-- preempt: ask the worker of a running run to give it back to the queue. Returns its hash; nil when there is none.
-- KEYS 1 run:<id> (hash)
-- ARGV 1 run_id
-- Also: events (stream)
local run_id = ARGV[1]
local status, request = unpack(redis.call("HMGET", KEYS[1], "status", "request"))
if not status then
  return nil
end
local refusal = refuse_external(run_id, "preempted", "stop the script instead.")
if refusal then
  return refusal
end
if status ~= "running" then
  return conflict(run_id, status, "only a running run can be preempted.")
end
if not request then
  ask(run_id, "preempt")
end
return redis.call("HGETALL", KEYS[1])
