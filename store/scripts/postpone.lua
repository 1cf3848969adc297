-- postpone: ask the worker of a running run that follows the grid to give it back, because another plan says: later, or
-- elsewhere. It is deferred until then once its worker let go of it. Returns its hash, also of a repeat, which is a
-- no-op; nil when it is not as it was when it was planned, is to be cancelled or paused, may not be stopped, or when the
-- plan says neither.
-- KEYS 1 run:<id> (hash)
-- ARGV 1 run_id  2 attempt it was planned for  3 the plan as JSON, times in seconds  4 when it is planned again, s
--      5 queue it leads to, or "" for the default one  6 its requirement as JSON, or ""
-- Also: queue:carbon (zset), run:<id>:log (stream), events (stream)
local run_id = ARGV[1]
local known = redis.call("HMGET", KEYS[1], "status", "attempt", "planning", "carbon", "request", "is_postponed", "queue",
  "options")
if known[6] and known[4] == ARGV[3] then
  return redis.call("HGETALL", KEYS[1])
end
if known[1] ~= "running" or known[2] ~= ARGV[2] or known[3] ~= "carbon"
  or known[5] and known[5] ~= "preempt" or cjson.decode(known[8]).carbon.interruptible == false then
  return nil
end
local plan = cjson.decode(ARGV[3])
if plan.start_at <= tonumber(now()) and (known[7] or "") == ARGV[5] then
  return nil
end
if not known[5] then
  ask(run_id, "preempt")
end
redis.call("HSET", KEYS[1], "is_postponed", 1)
take_plan(run_id, unpack(ARGV, 3))
note(run_id, plan.reason)
publish("replanned", run_id)
return redis.call("HGETALL", KEYS[1])
