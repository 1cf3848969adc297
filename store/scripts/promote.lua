-- promote: let deferred runs wait whose time has come, the earliest to be claimed first. Returns run ids.
-- Also forgets requirements of which no run waits, and their bells, and names of queues in which none does; they are
-- noted again when one is pushed.
-- KEYS 1 queue:deferred (zset, score = due_s)  2 queue:requirements (hash)
-- ARGV 1 most runs at once  2 seconds to wait for a plan that is due, too: a slot ends where the next one starts
-- Also: queue:carbon (zset), waiting lists, queue:wake:<queue> (lists), queue:demand, queue:names (sets), run:<id> (hash), runs:* (zsets), events (stream)
local time = tonumber(now())
local due = {}
for _, run_id in ipairs(redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", time, "LIMIT", 0, ARGV[1])) do
  local planned = tonumber(redis.call("ZSCORE", key("carbon"), run_id) or "0")
  if planned > time or time - planned >= tonumber(ARGV[2]) then
    due[#due + 1] = run_id
  end
end
for place = #due, 1, -1 do
  local run_id = due[place]
  local known = redis.call("HMGET", key("run", run_id), "status", "status_reason")
  redis.call("ZREM", KEYS[1], run_id)
  if known[1] == "deferred" then
    withdraw(run_id, "deferred")
    await(run_id, "deferred", "RPUSH", known[2])
    publish("due", run_id)
  end
end
for _, queue in ipairs(redis.call("HKEYS", KEYS[2])) do
  if redis.call("EXISTS", list_of(queue), list_of(queue, "high")) == 0 then
    redis.call("HDEL", KEYS[2], queue)
    redis.call("DEL", key("wake", queue))
  end
end
for _, queue in ipairs(redis.call("SMEMBERS", key("queue_names"))) do
  if redis.call("EXISTS", list_of(queue), list_of(queue, "high")) == 0 then
    redis.call("SREM", key("queue_names"), queue)
  end
end
return due
