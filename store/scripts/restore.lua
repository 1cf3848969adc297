-- restore: let an archived run, whose parts were all brought back for some time, be here for good. Returns 1, also when it is
-- here already; 0 where a part has expired meanwhile: then nothing is changed. NOTFOUND without such a run.
-- KEYS 1 run:<id> (hash)  2 run:<id>:warm (string); then its other keys
-- ARGV 1 run_id; then fields and values of run:<id>
-- Also: runs:archived (hash), events (stream)
local run_id = ARGV[1]
if redis.call("EXISTS", KEYS[1]) == 1 then
  return 1
end
if redis.call("HEXISTS", key("archived"), run_id) == 0 then
  return redis.error_reply("NOTFOUND There is no run " .. run_id .. ". The list of runs shows those that exist.")
end
-- One by one: Lua hands over no more than some 8,000 values at once, and a run may have more metrics.
for i = 2, #KEYS do
  if redis.call("EXISTS", KEYS[i]) == 0 then
    return 0
  end
end
for i = 3, #KEYS do
  redis.call("PERSIST", KEYS[i])
end
for i = 2, #ARGV, 2 do
  redis.call("HSET", KEYS[1], ARGV[i], ARGV[i + 1])
end
redis.call("DEL", KEYS[2])
redis.call("HDEL", key("archived"), run_id)
publish("restored", run_id)
return 1
