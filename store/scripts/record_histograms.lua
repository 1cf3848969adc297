-- record_histograms: take in one batch of a run's histograms. Returns {histograms taken in, what the script is asked for or
-- ""}; 0 and no change for a batch that came before. INVALID where it would pass a limit; nothing is written then.
-- KEYS 1 run:<id>  2 run:<id>:histograms  3 run:<id>:sources (hashes)  4 run:<id>:histograms:bytes (string)
-- ARGV 1 run_id  2 session  3 number of the batch  4 most names of a run  5 most steps of a name  6 most sessions of a run
--      7 most bytes of a run; then for each its name and its packed entry
-- Also: run:<id>:histogram:<name> (lists), runs:external, runs:* (zsets), run:<id>:log, events (streams)
local run_id, session, number = ARGV[1], ARGV[2] .. ":histograms", ARGV[3]
local most = tonumber(ARGV[5])
local state, refusal = find_external(run_id)
if refusal then
  return refusal
end
if is_repeated(run_id, session, number) then
  return {0, state.request}
end
local news, names, bytes = {}, redis.call("HLEN", KEYS[2]), tonumber(redis.call("GET", KEYS[4]) or 0)
local added = 0
for i = 8, #ARGV, 2 do
  added = added + #ARGV[i + 1]
  if not news[ARGV[i]] and redis.call("HEXISTS", KEYS[2], ARGV[i]) == 0 then
    news[ARGV[i]] = true
    names = names + 1
  end
end
if next(news) and names > tonumber(ARGV[4]) then
  return redis.error_reply("INVALID Run " .. run_id .. " would have histograms of more than " .. ARGV[4]
    .. " names. Nothing of this batch was stored.")
end
if bytes + added > tonumber(ARGV[7]) then
  return redis.error_reply("INVALID Run " .. run_id .. " would have histograms of more than "
    .. string.format("%d", ARGV[7] / 1048576) .. " MiB, packed. Nothing of this batch was stored; send fewer names or bins.")
end
if redis.call("HEXISTS", KEYS[3], session) == 0 and redis.call("HLEN", KEYS[3]) >= tonumber(ARGV[6]) then
  return redis.error_reply("INVALID Run " .. run_id .. " has had " .. ARGV[6]
    .. " sessions, and no more are kept apart. Nothing of this batch was stored.")
end
take_number(run_id, session, number)

-- Every stride-th one that came is kept, and the newest. known: how many came, and the stride.
for i = 8, #ARGV, 2 do
  local name, list = ARGV[i], key("histogram", run_id, ARGV[i])
  local known = cjson.decode(redis.call("HGET", KEYS[2], name) or "[0,1]")
  local came, stride = known[1], known[2]
  if came > 0 and (came - 1) % stride ~= 0 then
    bytes = bytes - #redis.call("LINDEX", list, -1)
    redis.call("LSET", list, -1, ARGV[i + 1])
  else
    redis.call("RPUSH", list, ARGV[i + 1])
  end
  bytes = bytes + #ARGV[i + 1]
  came = came + 1
  if redis.call("LLEN", list) > most then
    stride = stride * 2
    local entries = redis.call("LRANGE", list, 0, -1)
    redis.call("DEL", list)
    for place = 1, #entries do
      if place % 2 == 1 or place == #entries then
        redis.call("RPUSH", list, entries[place])
      else
        bytes = bytes - #entries[place]
      end
    end
  end
  redis.call("HSET", KEYS[2], name, string.format("[%d,%d]", came, stride))
end
redis.call("SET", KEYS[4], string.format("%.0f", bytes))
hear(run_id, state, now())
return {(#ARGV - 7) / 2, state.request}
