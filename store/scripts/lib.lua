-- Shared by every script, put before it when it is loaded. KEY, SORT_FIELDS and EPOCH come from Python.
-- The keys a script cannot know beforehand are built from KEY; all of them lie in one slot by the prefix.

local function key(name, ...)
  return string.format(KEY[name], ...)
end

-- The time as Redis tells it, "seconds.microseconds"; text, because a Lua number printed loses digits.
local function now()
  local time = redis.call("TIME")
  return string.format("%d.%06d", time[1], time[2])
end

-- Numbers are written with all their digits, and no more where fewer are read back as the same.
local function digits(number)
  local short = string.format("%.15g", number)
  return tonumber(short) == number and short or string.format("%.17g", number)
end

local function is_finite(number)
  return number == number and number ~= math.huge and number ~= -math.huge
end

-- JSON's null as Lua's nil.
local function present(value)
  if value ~= cjson.null then
    return value
  end
end

local function publish(kind, run_id, ...)
  redis.call("XADD", key("events"), "MAXLEN", "~", 10000, "*", "kind", kind, "run_id", run_id, ...)
end

local function ring(queue)
  redis.call("LPUSH", key("wake", queue), 1)
  redis.call("LTRIM", key("wake", queue), 0, 63)
end

-- Refuses whoever does not hold the run: returns the error to answer with, or nil.
local function fence(run_id, attempt, worker)
  local held = redis.call("HMGET", key("run", run_id), "status", "attempt", "worker")
  if held[1] == "running" and held[2] == attempt and held[3] == worker then
    return nil
  end
  local state = "it does not exist"
  if held[1] then
    state = "it is " .. held[1] .. " at attempt " .. held[2]
  end
  return redis.error_reply("LEASELOST Run " .. run_id .. " is no longer held by " .. worker .. " at attempt "
    .. attempt .. ": " .. state .. ". Stop training it; nothing was written.")
end

-- What a simulated run achieved is in indexes of its own, so that it is never ranked among real runs.
local function family_of(run_id)
  local is_simulated = redis.call("HEXISTS", key("run", run_id), "simulated") == 1
  return function(field)
    return is_simulated and field ~= "time_added" and "simulated_by" or "by"
  end
end

-- Puts a value into the index of a field and into the one of that field and status.
local function index(field, status, run_id, value)
  local by = family_of(run_id)(field)
  redis.call("ZADD", key(by, field), value, run_id)
  redis.call("ZADD", key(by .. "_status", field, status), value, run_id)
end

local function set_status(run_id, from, to)
  redis.call("HSET", key("run", run_id), "status", to)
  local family = family_of(run_id)
  for _, field in ipairs(SORT_FIELDS) do
    local by = family(field)
    local value = redis.call("ZSCORE", key(by, field), run_id) or "-inf"
    redis.call("ZREM", key(by .. "_status", field, from), run_id)
    redis.call("ZADD", key(by .. "_status", field, to), value, run_id)
  end
end

local function read_attempt(run_id, attempt)
  local stored = redis.call("HGET", key("attempts", run_id), attempt)
  return stored and cjson.decode(stored)
end

-- A flat table as a JSON object. Written by hand because cjson keeps 14 digits of a number only.
local function encode_object(record)
  local parts = {}
  for name, value in pairs(record) do
    local text = type(value) == "number" and digits(value) or cjson.encode(value)
    parts[#parts + 1] = cjson.encode(name) .. ":" .. text
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function write_attempt(run_id, attempt, record)
  redis.call("HSET", key("attempts", run_id), attempt, encode_object(record))
end

-- True when this worker's attempt already ended that way: its reply was lost and it asks again.
local function has_ended(run_id, attempt, worker, end_reason)
  local record = read_attempt(run_id, attempt)
  return record and record.worker == worker and record.end_reason == end_reason
end

-- Ends the hold of a worker on a run: no lease, no holder, the attempt closed.
local function end_attempt(run_id, attempt, worker, end_reason, time)
  redis.call("ZREM", key("leases"), run_id)
  redis.call("HDEL", key("holders"), worker)
  local record = read_attempt(run_id, attempt)
  if record then
    record.ended_at = tonumber(time)
    record.end_reason = end_reason
    write_attempt(run_id, attempt, record)
  end
end

-- Puts a run that was running back to where the next claim pops, and wakes a worker.
local function put_back(run_id, reason)
  local run = key("run", run_id)
  local place = redis.call("HMGET", run, "waiting_list", "queue")
  set_status(run_id, "running", "waiting")
  redis.call("HDEL", run, "worker")
  redis.call("HSET", run, "status_reason", reason)
  redis.call("RPUSH", place[1], run_id)
  ring(place[2])
end

-- Ends a run for good. detail: its error as JSON, or "".
local function close_run(run_id, status, reason, detail, time)
  local run = key("run", run_id)
  set_status(run_id, "running", status)
  redis.call("HSET", run, "ended_at", time)
  if reason ~= "" then
    redis.call("HSET", run, "status_reason", reason)
  end
  if detail ~= "" then
    redis.call("HSET", run, "error", detail)
  end
  redis.call("SREM", key("demand"), run_id)
end

-- Adds to the totals of a day and of a project; what simulated runs made up in fields of its own.
-- Not by HINCRBYFLOAT: it keeps 17 decimals, which is few digits of a mWh in kWh. A total that would not be finite
-- stays at the largest number there is, so that nobody's absurd epoch keeps others from being recorded.
local function add_totals(run_id, day, project, part)
  local prefix = redis.call("HEXISTS", key("run", run_id), "simulated") == 1 and "simulated_" or ""
  for _, total in ipairs({key("total_day", day), key("total_project", project)}) do
    for field, value in pairs(part) do
      local sum = tonumber(redis.call("HGET", total, prefix .. field) or 0) + value
      redis.call("HSET", total, prefix .. field, digits(math.max(0, math.min(sum, 1.7976931348623157e308))))
    end
  end
  redis.call("SADD", key("total_projects"), project)
end
