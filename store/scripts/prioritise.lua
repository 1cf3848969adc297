-- prioritise: set the priority of a run; a waiting one goes to the other list of its queue, behind those there.
-- Returns its hash; nil when there is none.
-- KEYS 1 run:<id> (hash)
-- ARGV 1 run_id  2 normal or high
-- Also: its waiting lists, queue:wake:<queue> (lists), queue:requirements (hash), queue:demand (set), events (stream)
local run_id, priority = ARGV[1], ARGV[2]
local status, present = unpack(redis.call("HMGET", KEYS[1], "status", "priority"))
if not status then
  return nil
end
local refusal = refuse_external(run_id, "given a priority", "it waits in no queue.")
if refusal then
  return refusal
end
if status == "done" or status == "failed" or status == "cancelled" then
  return conflict(run_id, status, "its priority matters no more. Retry or rerun it first.")
end
if (present or "normal") ~= priority then
  if status == "waiting" then
    withdraw(run_id, status)
  end
  redis.call("HSET", KEYS[1], "priority", priority)
  if status == "waiting" then
    enqueue(run_id, "LPUSH")
  end
  publish("prioritised", run_id)
end
return redis.call("HGETALL", KEYS[1])
