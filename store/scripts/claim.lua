-- claim: move the oldest waiting run of the first non-empty list under a lease. Returns {run_id, its hash} or nil.
-- A run whose project or token has as many running as its quota allows is passed over, and stays where it is.
-- First of all, a run this worker still holds is returned again: the reply to its claim may have been lost.
-- KEYS waiting lists, most urgent first, then the bells of their queues
-- ARGV 1 lease_s  2 worker_id  3 how many of KEYS are waiting lists
-- Also: queue:leases (zset, score = expiry_s), queue:holders (hash), queue:foreign (list),
--       quotas:* (hash, sets), run:<id> (hash), run:<id>:attempts (hash), worker:<id> (hash), runs:* (zsets), events (stream)
local time = now()
local worker = ARGV[2]

local function hold(run_id)
  redis.call("ZADD", key("leases"), digits(time + ARGV[1]), run_id)
  return {run_id, redis.call("HGETALL", key("run", run_id))}
end

local function start(run_id, known)
  if known[3] or known[4] then
    redis.call("HDEL", key("run", run_id), "status_reason", "error")
  end
  local attempt = (known[2] or 0) + 1
  set_status(run_id, "waiting", "running", "worker", worker, "started_at", time, "attempt", attempt)
  -- Kept with the attempt, because the heartbeat is forgotten.
  local place = redis.call("HMGET", key("worker", worker), "host", "zone")
  local record = {worker = worker, host = place[1] or nil, zone = place[2] or nil, started_at = tonumber(time)}
  write_attempt(run_id, attempt, record)
  redis.call("HSET", key("holders"), worker, run_id)
  if attempt == 1 then
    observe("start_seconds", time - (known[5] or time))
  end
  publish("claimed", run_id, "worker", worker, "attempt", attempt)
end

local held = redis.call("HGET", key("holders"), worker)
if held then
  local state = redis.call("HMGET", key("run", held), "status", "worker")
  if state[1] == "running" and state[2] == worker then
    return hold(held)
  end
end

-- What is known of the run an entry names; its first field, the status, is missing when it names none.
local function look_up(entry)
  if string.find(entry, "^[0-9A-Za-z][0-9A-Za-z_-]*$") then
    return redis.call("HMGET", key("run", entry), "status", "attempt", "status_reason", "error", "time_added")
  end
  return {}
end

-- Runs that are passed over, each with its list: put back in their order.
local passed = {}
local function put_back()
  for i = #passed, 1, -1 do
    redis.call("RPUSH", passed[i][1], passed[i][2])
  end
end

-- Bounded, so that a list somebody filled with anything else cannot stop Redis for long.
local drops_left = 1000
for i = 1, tonumber(ARGV[3]) do
  local run_id = redis.call("RPOP", KEYS[i])
  while run_id do
    local known = look_up(run_id)
    if known[1] == "waiting" then
      if not is_held_back(run_id) then
        start(run_id, known)
        put_back()
        return hold(run_id)
      end
      passed[#passed + 1] = {KEYS[i], run_id}
    end
    if not known[1] then
      redis.call("LPUSH", key("foreign"), run_id)
    end
    drops_left = drops_left - 1
    if drops_left == 0 then
      put_back()
      return nil
    end
    run_id = redis.call("RPOP", KEYS[i])
  end
end
put_back()
-- No list has a run to claim, so what is left of the bells announces nothing.
redis.call("DEL", unpack(KEYS, ARGV[3] + 1))
return nil
