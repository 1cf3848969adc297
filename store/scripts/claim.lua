-- claim: move the oldest waiting run of the first non-empty list under a lease. Returns {run_id, its hash} or nil.
-- First of all, a run this worker still holds is returned again: the reply to its claim may have been lost.
-- KEYS waiting lists, most urgent first, then the bells of their queues
-- ARGV 1 lease_s  2 worker_id  3 how many of KEYS are waiting lists
-- Also: queue:leases (zset, score = expiry_s), queue:holders (hash), queue:demand (set), queue:foreign (list),
--       run:<id> (hash), run:<id>:attempts (hash), runs:* (zsets), events (stream)
local time = now()
local worker = ARGV[2]

local function hold(run_id)
  redis.call("ZADD", key("leases"), digits(time + ARGV[1]), run_id)
  return {run_id, redis.call("HGETALL", key("run", run_id))}
end

local function start(run_id)
  local run = key("run", run_id)
  set_status(run_id, "waiting", "running")
  redis.call("HSET", run, "worker", worker, "started_at", time)
  redis.call("HDEL", run, "status_reason", "error")
  local attempt = redis.call("HINCRBY", run, "attempt", 1)
  write_attempt(run_id, attempt, {worker = worker, started_at = tonumber(time)})
  redis.call("HSET", key("holders"), worker, run_id)
  redis.call("SADD", key("demand"), run_id)
  publish("claimed", run_id, "worker", worker, "attempt", attempt)
end

local held = redis.call("HGET", key("holders"), worker)
if held then
  local state = redis.call("HMGET", key("run", held), "status", "worker")
  if state[1] == "running" and state[2] == worker then
    return hold(held)
  end
end

-- The status of the run an entry names, or nil when it names none.
local function status_of(entry)
  if string.find(entry, "^[0-9A-Za-z][0-9A-Za-z_-]*$") then
    return redis.call("HGET", key("run", entry), "status") or nil
  end
end

-- Bounded, so that a list somebody filled with anything else cannot stop Redis for long.
local drops_left = 1000
for i = 1, tonumber(ARGV[3]) do
  local run_id = redis.call("RPOP", KEYS[i])
  while run_id do
    local status = status_of(run_id)
    if status == "waiting" then
      start(run_id)
      return hold(run_id)
    end
    if not status then
      redis.call("LPUSH", key("foreign"), run_id)
    end
    drops_left = drops_left - 1
    if drops_left == 0 then
      return nil
    end
    run_id = redis.call("RPOP", KEYS[i])
  end
end
-- Every list is empty, so what is left of the bells announces nothing.
redis.call("DEL", unpack(KEYS, ARGV[3] + 1))
return nil
