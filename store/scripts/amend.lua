-- amend: replace a JSON field of a run, if it is still what it was when it was read. Returns 1, 0 when it is not, nil when
-- there is no such run.
-- KEYS 1 run:<id> (hash)
-- ARGV 1 run_id  2 field  3 its value when it was read, or ""  4 its new value, or "" for none; then lines for its log
-- Also: run:<id>:log, events (streams)
local run_id, field = ARGV[1], ARGV[2]
if redis.call("EXISTS", KEYS[1]) == 0 then
  return nil
end
if field == "hyper_params" then
  -- Those of a run of the queue are frozen.
  local _, refusal = find_external(run_id)
  if refusal then
    return refusal
  end
end
if (redis.call("HGET", KEYS[1], field) or "") ~= ARGV[3] then
  return 0
end
if ARGV[4] == "" then
  redis.call("HDEL", KEYS[1], field)
else
  redis.call("HSET", KEYS[1], field, ARGV[4])
end
for i = 5, #ARGV do
  note(run_id, ARGV[i])
end
publish("amended", run_id)
return 1
