-- Shared by every script, put before it when it is loaded. KEY, SORT_FIELDS, EPOCH, EXTRA, QUALITY, BOUNDS, DEFAULT_QUEUE,
-- DEFAULT_PROJECT and SWEEP_TAG come from Python.
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

-- Counts for good: what is deleted later stays counted.
local function tally(name, by)
  redis.call("HINCRBY", key("counters"), name, by or 1)
end

-- Counts a time in the first bucket that it fits, and in the sum of all. No clock and nobody's absurd figure may
-- make the sum infinite.
local function observe(name, seconds)
  local fitting = "inf"
  seconds = math.max(0, math.min(seconds, 1e9))
  for _, bound in ipairs(BOUNDS[name]) do
    if seconds <= tonumber(bound) then
      fitting = bound
      break
    end
  end
  tally(name .. ":" .. fitting)
  redis.call("HINCRBYFLOAT", key("counters"), name .. ":sum", digits(seconds))
end

local function publish(kind, run_id, ...)
  tally("events:" .. kind)
  redis.call("XADD", key("events"), "MAXLEN", "~", 10000, "*", "kind", kind, "run_id", run_id, ...)
end

local function ring(queue)
  if redis.call("LPUSH", key("wake", queue), 1) > 64 then
    redis.call("LTRIM", key("wake", queue), 0, 63)
  end
end

-- What a running run is asked for: its worker has to preempt it for a plan that postpones it, too. nil for nothing.
local function wish_of(request, is_postponed)
  if request == "preempt" and is_postponed then
    return "postpone"
  end
  return request or nil
end

-- Refuses whoever does not hold the run: returns the error to answer with, or nil and what the run is asked for.
local function fence(run_id, attempt, worker)
  local held = redis.call("HMGET", key("run", run_id), "status", "attempt", "worker", "request", "is_postponed")
  if held[1] == "running" and held[2] == attempt and held[3] == worker then
    return nil, wish_of(held[4], held[5])
  end
  local state = "it does not exist"
  if held[1] then
    state = "it is " .. held[1] .. " at attempt " .. (held[2] or 0)
  end
  return redis.error_reply("LEASELOST Run " .. run_id .. " is no longer held by " .. worker .. " at attempt "
    .. attempt .. ": " .. state .. ". Stop training it; nothing was written.")
end

-- What a simulated run achieved is in indexes of its own, so that it is never ranked among real runs.
local function kind_of(simulated)
  return simulated and "simulated_" or ""
end

-- The day of a time in UTC, YYYY-MM-DD. Of a year that begins in March, the leap day is the last one.
local function day_of(time)
  local floor = math.floor
  local days = floor(tonumber(time) / 86400) + 719468
  local era = floor(days / 146097)
  local day = days - era * 146097
  local year = floor((day - floor(day / 1460) + floor(day / 36524) - floor(day / 146096)) / 365)
  day = day - (365 * year + floor(year / 4) - floor(year / 100))
  local month = floor((5 * day + 2) / 153)
  day = day - floor((153 * month + 2) / 5) + 1
  month = month < 10 and month + 3 or month - 9
  return string.format("%04d-%02d-%02d", year + 400 * era + (month <= 2 and 1 or 0), month, day)
end

-- Whose quotas a run counts in: its project's, and those of the token that queued it. None for a run of a script.
local function owners_of(run_id)
  local known = redis.call("HMGET", key("run", run_id), "options", "token", "is_external")
  if known[3] then
    return {}
  end
  return {
    "project:" .. (known[1] and cjson.decode(known[1]).project or DEFAULT_PROJECT), known[2] and "token:" .. known[2] or nil,
  }
end

-- Where a run counts by its status; nowhere once it has ended.
local QUOTA_PLACE = {waiting = "quota_waiting", deferred = "quota_waiting", paused = "quota_waiting", running = "quota_running"}

-- Counts a run in another place of its owners' quotas.
local function count_place(run_id, from, to)
  local before, after = QUOTA_PLACE[from], QUOTA_PLACE[to]
  if before ~= after then
    for _, owner in ipairs(owners_of(run_id)) do
      if before then
        redis.call("SREM", key(before, owner), run_id)
      end
      if after then
        redis.call("SADD", key(after, owner), run_id)
      end
    end
  end
end

-- Adds what was used today to the quotas of a run's owners; what is simulated or reported by a script counts in none, nor
-- what is told of an earlier day, whose quotas nobody asks for.
local function use_quota(run_id, day, project, part)
  local known = redis.call("HMGET", key("run", run_id), "simulated", "token", "gpus", "is_external")
  if known[1] or known[4] or day ~= day_of(now()) then
    return
  end
  local used = {
    gpu_hours = (part.duration_s or 0) * (known[3] or 1) / 3600, energy_wh = (part.energy_kwh or 0) * 1000,
    co2_g = part.co2_g or 0,
  }
  for _, owner in ipairs({"project:" .. project, known[2] and "token:" .. known[2] or nil}) do
    for name, more in pairs(used) do
      if more ~= 0 and math.abs(more) < 1e15 then
        redis.call("HINCRBYFLOAT", key("quota_used", owner, day), name, string.format("%.9f", more))
        redis.call("EXPIRE", key("quota_used", owner, day), 172800)
      end
    end
  end
end

-- The limits of owners that have some, a table by owner.
local function limits_of(owners)
  local found = {}
  if redis.call("EXISTS", key("quota_limits")) == 1 then
    for place, text in ipairs(redis.call("HMGET", key("quota_limits"), unpack(owners))) do
      if text then
        found[owners[place]] = cjson.decode(text)
      end
    end
  end
  return found
end

-- The first limit that keeps owners from queueing one more run: {"", owner, its name, limit, used}; nil where none does.
local function full_quota(owners, day)
  for owner, limits in pairs(limits_of(owners)) do
    local waiting = present(limits.waiting_runs)
    if waiting then
      local count = redis.call("SCARD", key("quota_waiting", owner))
      if count >= waiting then
        return {"", owner, "waiting_runs", digits(waiting), digits(count)}
      end
    end
    for _, name in ipairs({"gpu_hours", "energy_wh", "co2_g"}) do
      local most, used = present(limits[name]), redis.call("HGET", key("quota_used", owner, day), name)
      if most and tonumber(used or 0) >= most then
        return {"", owner, name, digits(most), digits(tonumber(used or 0))}
      end
    end
  end
end

-- True where an owner of a run has as many running as it may.
local function is_held_back(run_id)
  if redis.call("EXISTS", key("quota_limits")) == 0 then
    return false
  end
  for owner, limits in pairs(limits_of(owners_of(run_id))) do
    local most = present(limits.running_runs)
    if most and redis.call("SCARD", key("quota_running", owner)) >= most then
      return true
    end
  end
  return false
end

-- Changes the status, the indexes with it, and in the same write the fields that follow: names and values in turn.
-- A blank run, which has used and achieved nothing yet, is in one index of its status only, any other in one for each
-- sort field.
local function set_status(run_id, from, to, ...)
  local run = key("run", run_id)
  local known = redis.call("HMGET", run, "simulated", "duration_s", unpack(SORT_FIELDS))
  local kind = kind_of(known[1])
  redis.call("HSET", run, "status", to, ...)
  count_place(run_id, from, to)
  local is_blank = not known[2]
  if is_blank then
    redis.call("ZADD", key(kind .. "blank", to), known[3], run_id)
    if redis.call("ZREM", key(kind .. "blank", from), run_id) == 1 then
      return
    end
    -- Written before there were blank runs: then it is in the indexes of values.
  end
  for place, field in ipairs(SORT_FIELDS) do
    local name = field == "time_added" and "by" or kind .. "by"
    redis.call("ZREM", key(name, field, from), run_id)
    if not is_blank then
      redis.call("ZADD", key(name, field, to), known[place + 2] or "-inf", run_id)
    end
  end
end

-- Puts values of a run, numbers by field, into its indexes; from the first one on it is no longer blank.
-- status: nil for running.
local function index_values(run_id, values, fields, status)
  status = status or "running"
  local known = redis.call("HMGET", key("run", run_id), "simulated", "time_added")
  local kind = kind_of(known[1])
  if redis.call("ZREM", key(kind .. "blank", status), run_id) == 1 then
    redis.call("ZADD", key("by", "time_added", status), known[2], run_id)
    fields = SORT_FIELDS
  end
  for _, field in ipairs(fields) do
    if field ~= "time_added" then
      local value = values[field] and digits(values[field]) or "-inf"
      redis.call("ZADD", key(kind .. "by", field, status), value, run_id)
    end
  end
end

-- The quality of a run's energy, from the letter of a part: estimated as soon as one part was. known: what it was.
local function note_quality(run_id, letter, known)
  local quality = QUALITY[present(letter)]
  if quality and known ~= "estimated" then
    redis.call("HSET", key("run", run_id), "energy_quality", quality)
  end
end

local function read_attempt(run_id, attempt)
  local stored = redis.call("HGET", key("attempts", run_id), attempt)
  return stored and cjson.decode(stored)
end

-- What a request with an idempotency key did before: the id of what it made; nil where it is new, or has no key; or nil and
-- the error to answer with where the key was another request's. digest: of the request. made, advice: for that error.
local function recall(place, digest, made, advice)
  local known = place and redis.call("GET", place)
  if known then
    local id, known_digest = string.match(known, "^(%S+) (%S+)$")
    if known_digest == digest then
      return id
    end
    return nil, redis.error_reply("CONFLICT This Idempotency-Key was used for another body, " .. made .. " " .. id .. ". "
      .. advice)
  end
end

-- Keeps for so many seconds what a request with an idempotency key made; nothing without one.
local function remember(place, id, digest, seconds)
  if place then
    redis.call("SET", place, id .. " " .. digest, "EX", seconds)
  end
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

-- Writes the record of an attempt; a count of 0 has no field.
local function write_attempt(run_id, attempt, record)
  if record.unknown_energy_epochs == 0 then
    record.unknown_energy_epochs = nil
  end
  redis.call("HSET", key("attempts", run_id), attempt, encode_object(record))
end

-- Writes what a run has used and achieved, numbers by field, and the fields that follow, names and values in turn. A sum
-- that is unknown has no field, and neither has a count of 0.
local function write_values(run_id, values, ...)
  local fields, unknown = {...}, {}
  for field, value in pairs(values) do
    if field ~= "unknown_energy_epochs" or value > 0 then
      fields[#fields + 1] = field
      fields[#fields + 1] = digits(value)
    end
  end
  for _, field in ipairs({"energy_kwh", "co2_g", "accuracy_per_kwh"}) do
    if not values[field] then
      unknown[#unknown + 1] = field
    end
  end
  if #unknown > 0 then
    redis.call("HDEL", key("run", run_id), unpack(unknown))
  end
  redis.call("HSET", key("run", run_id), unpack(fields))
end

-- Adds costs to a sum. One unknown part makes the sum unknown; a sum without a duration has no parts yet.
local function add_cost(sum, part)
  local is_first = not sum.duration_s
  for _, field in ipairs({"energy_kwh", "co2_g", "duration_s"}) do
    local has_both = sum[field] and part[field]
    -- epochs have six digits; what comes after twelve in their sum is the noise of adding
    sum[field] = is_first and part[field] or has_both and tonumber(string.format("%.12g", sum[field] + part[field])) or nil
  end
  sum.unknown_energy_epochs = (sum.unknown_energy_epochs or 0) + (part.unknown_energy_epochs or 0)
end

-- What a run used, the sum over its attempts, once this one has used ``cost`` more. Returns the sums and this attempt's
-- record, or the error to answer with in their place; writes nothing.
local function sum_attempts(run_id, attempt, cost)
  local sums, this = {}, nil
  local attempts = redis.call("HGETALL", key("attempts", run_id))
  for i = 1, #attempts, 2 do
    local record = cjson.decode(attempts[i + 1])
    if attempts[i] == attempt then
      this = record
      add_cost(this, cost)
    end
    if record.duration_s then
      add_cost(sums, record)
    end
  end
  for field, sum in pairs(sums) do
    if not is_finite(sum) then
      return nil, nil, redis.error_reply("INVALID " .. field .. " of run " .. run_id
        .. " would not be finite; nothing was stored.")
    end
  end
  return sums, this
end

-- True when this worker's attempt already ended that way: its reply was lost and it asks again.
local function has_ended(run_id, attempt, worker, end_reason)
  local record = read_attempt(run_id, attempt)
  return record and record.worker == worker and record.end_reason == end_reason
end

-- Ends the hold of a worker on a run: no lease, no holder, nothing asked for any more, the attempt closed.
-- request: what was asked for, or nil. more: what else its record gets, a table, or nil.
local function end_attempt(run_id, attempt, worker, request, end_reason, time, more)
  redis.call("ZREM", key("leases"), run_id)
  redis.call("HDEL", key("holders"), worker)
  if request then
    redis.call("HDEL", key("run", run_id), "request", "is_postponed")
  end
  local record = read_attempt(run_id, attempt)
  if record then
    -- Where the clocks of two servers differ, it may seem to end before it began.
    record.ended_at = math.max(time, record.started_at)
    record.end_reason = end_reason
    for name, value in pairs(more or {}) do
      record[name] = value
    end
    write_attempt(run_id, attempt, record)
  end
end

-- The waiting list of a run, by its fields queue and priority.
local function list_of(queue, priority)
  local suffix = priority == "high" and "_high" or ""
  if not queue or queue == DEFAULT_QUEUE then
    return key("waiting" .. suffix)
  end
  return key("waiting_named" .. suffix, queue)
end

-- Puts a run onto its waiting list and wakes a worker. push: RPUSH to be claimed next, LPUSH behind the others.
local function enqueue(run_id, push)
  local place = redis.call("HMGET", key("run", run_id), "queue", "priority", "requirement")
  redis.call(push, list_of(place[1], place[2]), run_id)
  redis.call("SADD", key("demand"), run_id)
  redis.call("SADD", key("queue_names"), place[1] or DEFAULT_QUEUE)
  ring(place[1] or DEFAULT_QUEUE)
  if place[3] then
    redis.call("HSET", key("requirements"), place[1], place[3])
    ring(cjson.decode(place[3]).queue)
  end
end

-- Takes a run that nobody trains from the place where it is kept.
local function withdraw(run_id, status)
  if status == "waiting" then
    local place = redis.call("HMGET", key("run", run_id), "queue", "priority")
    redis.call("LREM", list_of(place[1], place[2]), 1, run_id)
    redis.call("SREM", key("demand"), run_id)
  elseif status == "deferred" or status == "paused" then
    redis.call("ZREM", key(status), run_id)
    redis.call("HDEL", key("run", run_id), "due_at", "paused_at", "not_before")
  end
end

-- The plan of a run that follows the grid, its times in seconds; nil when it has none.
local function plan_of(run_id)
  local stored = redis.call("HGET", key("run", run_id), "carbon")
  return stored and cjson.decode(stored) or nil
end

-- Notes when a run is planned again, if it follows the grid and nobody asked to run it now.
local function plan_again(run_id, time)
  if redis.call("HGET", key("run", run_id), "planning") == "carbon" then
    redis.call("ZADD", key("carbon"), time, run_id)
  end
end

-- Ends the planning of a run that follows the grid: it runs as soon as it can. False for one that is not planned.
local function override(run_id)
  if redis.call("HGET", key("run", run_id), "planning") ~= "carbon" then
    return false
  end
  redis.call("HSET", key("run", run_id), "planning", "override")
  redis.call("ZREM", key("carbon"), run_id)
  return true
end

-- Keeps plans from starting a run before ``time``. Returns when it starts: later, where it is postponed for longer.
local function hold_back(run_id, request, time)
  if redis.call("HEXISTS", key("run", run_id), "planning") == 1 then
    redis.call("HSET", key("run", run_id), "not_before", digits(time))
  end
  return request == "postpone" and math.max(time, plan_of(run_id).start_at) or time
end

-- Gives a run a plan, JSON, and the queue it leads to. queue, requirement: "" for the default one and for none.
local function redirect(run_id, plan, queue, requirement)
  for name, value in pairs({queue = queue, requirement = requirement}) do
    if value == "" then
      redis.call("HDEL", key("run", run_id), name)
    else
      redis.call("HSET", key("run", run_id), name, value)
    end
  end
  redis.call("HSET", key("run", run_id), "carbon", plan)
end

-- Takes over a plan, and when it is made again.
local function take_plan(run_id, plan, next_time, queue, requirement)
  redirect(run_id, plan, queue, requirement)
  redis.call("ZADD", key("carbon"), next_time, run_id)
end

-- Adds a line to the log of a run that no worker wrote.
local function note(run_id, line)
  redis.call("XADD", key("log", run_id), "MAXLEN", "~", 10000, "*", "text", line)
end

-- Lets a run that is kept nowhere wait. reason: for a person, or nil to keep none.
local function await(run_id, from, push, reason)
  redis.call("HDEL", key("run", run_id), "worker", "status_reason")
  if reason then
    set_status(run_id, from, "waiting", "waiting_since", now(), "status_reason", reason)
  else
    set_status(run_id, from, "waiting", "waiting_since", now())
  end
  enqueue(run_id, push)
end

-- Keeps a run that is kept nowhere from being claimed. to: deferred until ``time``, or paused since then.
local function shelve(run_id, from, to, time, reason)
  redis.call("HDEL", key("run", run_id), "worker")
  set_status(run_id, from, to, to == "paused" and "paused_at" or "due_at", time, "status_reason", reason)
  redis.call("ZADD", key(to), time, run_id)
  redis.call("SREM", key("demand"), run_id)
  if to == "paused" then
    redis.call("ZREM", key("carbon"), run_id)
  end
end

-- Ends a run that is kept nowhere for good. detail: its error as JSON, or "".
local function close_run(run_id, from, status, reason, detail, time)
  local fields = {"ended_at", time}
  for name, text in pairs({status_reason = reason, error = detail}) do
    if text ~= "" then
      fields[#fields + 1] = name
      fields[#fields + 1] = text
    end
  end
  set_status(run_id, from, status, unpack(fields))
  redis.call("SREM", key("demand"), run_id)
  if redis.call("HEXISTS", key("run", run_id), "planning") == 1 then
    redis.call("ZREM", key("carbon"), run_id)
    redis.call("ZADD", key("unsettled"), time, run_id)
  end
end

-- Why a run is cancelled, for a person; forgets it, so that it says nothing about a later cancel.
local function reason_of_cancel(run_id)
  local reason = redis.call("HGET", key("run", run_id), "cancel_reason")
  redis.call("HDEL", key("run", run_id), "cancel_reason")
  return reason and reason ~= "" and reason or "cancelled on request"
end

-- Does with a run that its worker stopped what was asked for; otherwise it is claimed next. Returns its status.
local function settle(run_id, request, attempt, time, reason, kind)
  if request == "cancel" then
    close_run(run_id, "running", "cancelled", reason_of_cancel(run_id), "", time)
    publish("cancelled", run_id, "attempt", attempt)
    return "cancelled"
  end
  if request == "pause" then
    shelve(run_id, "running", "paused", time, "paused on request")
    publish("paused", run_id, "attempt", attempt)
    return "paused"
  end
  local plan = request == "postpone" and plan_of(run_id)
  if plan and plan.start_at > tonumber(time) then
    shelve(run_id, "running", "deferred", digits(plan.start_at), plan.reason)
    publish("postponed", run_id, "attempt", attempt)
    return "deferred"
  end
  await(run_id, "running", "RPUSH", reason)
  publish(kind, run_id, "attempt", attempt)
  return "waiting"
end

-- Notes what a running run is asked for, for its worker to hear when it renews.
local function ask(run_id, request)
  redis.call("HDEL", key("run", run_id), "is_postponed")
  redis.call("HSET", key("run", run_id), "request", request)
  publish("asked", run_id)
end

local function conflict(run_id, state, advice)
  return redis.error_reply("CONFLICT Run " .. run_id .. " is " .. state .. ": " .. advice)
end

-- Adds to the totals of a day, of a project and, unless it is a correction, of all there ever was; what simulated runs
-- made up in fields of its own.
-- Not by HINCRBYFLOAT: it keeps 17 decimals, which is few digits of a mWh in kWh. A total that would not be finite
-- stays at the largest number there is, so that nobody's absurd epoch keeps others from being recorded.
local function add_totals(run_id, day, project, part, is_correction)
  local prefix = redis.call("HEXISTS", key("run", run_id), "simulated") == 1 and "simulated_" or ""
  local names, fields = {}, {}
  for name in pairs(part) do
    names[#names + 1] = name
    fields[#fields + 1] = prefix .. name
  end
  -- The last one only grows, as a counter has to.
  local totals = {key("total_day", day), key("total_project", project), not is_correction and key("total_all") or nil}
  for _, total in ipairs(totals) do
    local sums = {}
    for place, known in ipairs(redis.call("HMGET", total, unpack(fields))) do
      local sum = tonumber(known or 0) + part[names[place]]
      sums[2 * place - 1] = fields[place]
      sums[2 * place] = digits(math.max(0, math.min(sum, 1.7976931348623157e308)))
    end
    redis.call("HSET", total, unpack(sums))
  end
  redis.call("SADD", key("total_projects"), project)
  use_quota(run_id, day, project, part)
end

-- The error to answer with where a run is not of the queue, or nil. wish: what cannot be done with it; why: the reason.
local function refuse_external(run_id, wish, why)
  if redis.call("HEXISTS", key("run", run_id), "is_external") == 1 then
    return redis.error_reply("CONFLICT Run " .. run_id .. " is reported by its own script and cannot be " .. wish
      .. ": " .. why)
  end
end

-- How a run that its own script reports stands: a table, or nil and the error to answer with.
local function find_external(run_id)
  local known = redis.call("HMGET", key("run", run_id), "status", "is_external", "is_silent", "request", "heard_at",
    "duration_s", "options")
  if not known[1] then
    return nil, redis.error_reply("NOTFOUND There is no run " .. run_id .. ". The list of runs shows those that exist.")
  end
  if not known[2] then
    return nil, redis.error_reply("CONFLICT Run " .. run_id .. " is a run of the queue: its worker alone reports it.")
  end
  return {
    status = known[1], is_silent = known[3], request = known[4] or "", heard_at = tonumber(known[5]),
    duration_s = tonumber(known[6] or 0), project = known[7] and cjson.decode(known[7]).project or DEFAULT_PROJECT,
  }
end

-- Lets a run that has ended go on: its script reports it again.
local function reopen(run_id, state, time, reason)
  local run = key("run", run_id)
  redis.call("HDEL", run, "error", "ended_at", "is_silent", "request")
  set_status(run_id, state.status, "running", "status_reason", reason, "heard_at", time)
  redis.call("ZADD", key("external"), time, run_id)
  note(run_id, reason)
  publish("reopened", run_id)
  state.status, state.is_silent, state.request = "running", nil, ""
end

-- True where another session has opened a run since this one did. session: "" where a script does not say which it is.
local function is_superseded(run_id, session)
  local newest = redis.call("HGET", key("run", run_id), "session")
  return session ~= "" and newest and newest ~= session
end

-- Takes a session as the newest of its run.
local function open_session(run_id, session)
  if session ~= "" then
    redis.call("HSET", key("sources", run_id), session .. ":open", 1)
  end
  if session ~= "" or redis.call("HEXISTS", key("run", run_id), "session") == 1 then
    redis.call("HSET", key("run", run_id), "session", session)
  end
end

-- Notes that the script of a run was heard of; one that was ended for its silence goes on. Its duration is the time in
-- which it was heard of: what passed while it had ended is none of it. day: on which that counts, or nil for that of ``time``.
-- is_indexed_later: the caller puts state.duration_s into the indexes, with all other values.
local function hear(run_id, state, time, day, is_indexed_later)
  if state.is_silent then
    local is_cancelled = state.status == "cancelled"
    local silence = string.format("%.0f", math.max(0, time - state.heard_at))
    reopen(run_id, state, time, "its script is heard of again after " .. silence .. " s")
    if is_cancelled then
      ask(run_id, "cancel")
      state.request = "cancel"
    end
  elseif state.status == "running" then
    local more = math.max(0, time - state.heard_at)
    state.duration_s = tonumber(string.format("%.12g", state.duration_s + more))
    redis.call("HSET", key("run", run_id), "heard_at", time, "duration_s", digits(state.duration_s))
    redis.call("ZADD", key("external"), time, run_id)
    if not is_indexed_later then
      index_values(run_id, {duration_s = state.duration_s}, {"duration_s"})
    end
    add_totals(run_id, day or day_of(time), state.project, {duration_s = more})
  end
end

-- True when a batch of a session, or a later one, came before: then nothing is to be done.
local function is_repeated(run_id, session, number)
  return tonumber(redis.call("HGET", key("sources", run_id), session) or 0) >= tonumber(number)
end

-- Takes the number of a batch of a session; a gap before it is told in the log, for what was in it is lost.
local function take_number(run_id, session, number)
  local last = tonumber(redis.call("HGET", key("sources", run_id), session) or 0)
  if number - last > 1 then
    note(run_id, string.format("batches %.0f to %.0f of the session %s never came", last + 1, number - 1, session))
  end
  redis.call("HSET", key("sources", run_id), session, number)
end

-- The error to answer with where a run is not over for good, or nil: one that was ended for its silence may go on.
-- longest_s: so long a silence is for good.
local function refuse_going_on(run_id, longest_s)
  local status, is_silent, heard_at = unpack(redis.call("HMGET", key("run", run_id), "status", "is_silent", "heard_at"))
  if not status then
    return redis.error_reply("NOTFOUND There is no run " .. run_id .. ". The list of runs shows those that exist.")
  end
  if is_silent and heard_at and now() - heard_at > tonumber(longest_s) then
    is_silent = nil
  end
  if is_silent or (status ~= "done" and status ~= "failed" and status ~= "cancelled") then
    return conflict(run_id, is_silent and "only silent" or status, "it may still need its files.")
  end
end

-- The error to answer with where a run may not have an artifact of so many bytes more, or nil.
local function refuse_artifact(run_id, size, most, most_bytes)
  if redis.call("EXISTS", key("run", run_id)) == 0 then
    return redis.error_reply("NOTFOUND There is no run " .. run_id .. ". The list of runs shows those that exist.")
  end
  if redis.call("HLEN", key("artifacts", run_id)) >= tonumber(most) then
    return redis.error_reply("CONFLICT Run " .. run_id .. " has " .. most
      .. " versions of artifacts, as many as a run may have. Delete some.")
  end
  local bytes = tonumber(redis.call("HGET", key("artifact_facts", run_id), "bytes") or 0)
  if bytes + size > tonumber(most_bytes) then
    return redis.error_reply("TOOLARGE The artifacts of run " .. run_id .. " would have more than "
      .. string.format("%.0f", most_bytes / 1048576) .. " MiB, the limit set by WATTLE_MAX_RUN_ARTIFACTS_MIB. Delete some.")
  end
end

-- A run that was moved to the archive is not changed here: refuses every script that is given one of its keys, but for those
-- that Python excepts. Of all keys of a script that are of runs, all are of the same one.
local function refuse_archived()
  local place = string.find(KEY.run, "%s", 1, true)
  local start = string.sub(KEY.run, 1, place - 1)
  for _, name in ipairs(KEYS) do
    if string.sub(name, 1, #start) == start then
      local run_id = string.match(string.sub(name, #start + 1), "^[^:]+")
      if run_id and redis.call("HEXISTS", key("archived"), run_id) == 1 then
        return redis.error_reply("CONFLICT Run " .. run_id .. " was moved to the archive and cannot be changed there. Restore "
          .. "it first: POST /api/runs/" .. run_id .. "/restore.")
      end
      return nil
    end
  end
end

-- What all that is kept of a run comes to: another text once anything of it has changed. Of points, which are appended to and
-- never changed, the length. keys: run:<id> and those of its parts.
local function fingerprint(run_id, keys)
  local parts = {}
  -- A hash may tell its fields in another order at each reading, while it makes itself larger.
  local function read(name)
    if redis.call("TYPE", name).ok ~= "hash" then
      return redis.call("DUMP", name)
    end
    local flat, pairs_of = redis.call("HGETALL", name), {}
    for i = 1, #flat, 2 do
      pairs_of[#pairs_of + 1] = flat[i] .. "\0" .. flat[i + 1]
    end
    table.sort(pairs_of)
    return table.concat(pairs_of, "\0\0")
  end
  local function add(name)
    local stored = read(name)
    parts[#parts + 1] = stored and redis.sha1hex(stored) or ""
  end
  for _, name in ipairs(keys) do
    add(name)
  end
  local metrics, histograms = redis.call("HKEYS", key("metrics", run_id)), redis.call("HKEYS", key("histograms", run_id))
  table.sort(metrics)
  table.sort(histograms)
  for _, metric in ipairs(metrics) do
    parts[#parts + 1] = metric .. redis.call("STRLEN", key("points", run_id, metric))
  end
  for _, name in ipairs(histograms) do
    add(key("histogram", run_id, name))
  end
  return redis.sha1hex(table.concat(parts, "\0"))
end

-- The runs of which unread events tell, those that alert rules look for: a set. Empty where no rule is in force.
local function list_unread()
  local unread, is_watched = {}, false
  for _, text in ipairs(redis.call("HVALS", key("alert_rules"))) do
    -- One that cannot be read is left out of the rounds as well.
    local is_read, rule = pcall(cjson.decode, text)
    is_watched = is_watched or is_read and type(rule) == "table" and rule.is_enabled ~= false
  end
  if is_watched then
    local cursor = redis.call("HGET", key("alert_progress"), "cursor") or "0-0"
    for _, entry in ipairs(redis.call("XRANGE", key("events"), "(" .. cursor, "+")) do
      -- As ``publish`` writes them.
      local kind, run_id = entry[2][2], entry[2][4]
      if kind == "epoch" or kind == "done" or kind == "failed" or kind == "cancelled" then
        unread[run_id] = true
      end
    end
  end
  return unread
end

-- Those of the runs that somebody has still to read here: who drives the sweep whose trial it is, or the alert rules. Both may
-- be programs that were given no archive.
local function list_awaited(run_ids)
  local awaited, unread, active = {}, list_unread(), {}
  for _, sweep_id in ipairs(redis.call("SMEMBERS", key("sweep_active"))) do
    active[SWEEP_TAG .. sweep_id] = true
  end
  for _, run_id in ipairs(run_ids) do
    local is_awaited = unread[run_id]
    if not is_awaited and next(active) then
      local options = redis.call("HGET", key("run", run_id), "options")
      for _, tag in ipairs(options and present(cjson.decode(options).tags) or {}) do
        is_awaited = is_awaited or active[tag]
      end
    end
    if is_awaited then
      awaited[#awaited + 1] = run_id
    end
  end
  return awaited
end
