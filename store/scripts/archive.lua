-- archive: take a run away that was written to the archive, if nothing of it has changed since it was read. Returns 1, also
-- when that was done before; 0 when it has changed, or is none that may go. Its places in the indexes stay.
-- KEYS 1 run:<id> (hash)  2.. the keys of its parts
-- ARGV 1 run_id  2 its fingerprint when it was read  3 so long a silence is the end of a run, s  4 its place in
--      the archive  5 when it was read, s  6 how long that counts, s
-- Also: runs:archived (hash), run:<id>:points:<name> (strings), run:<id>:histogram:<name> (lists), run:<id>:models (hash),
--       carbon:unsettled (zset), sweeps:active (set), alerts:rules, alerts:progress (hashes), events (stream)
local run_id = ARGV[1]
if redis.call("HEXISTS", key("archived"), run_id) == 1 then
  return 1
end
if redis.call("EXISTS", KEYS[1]) == 0 or refuse_going_on(run_id, ARGV[3]) then
  return 0
end
-- Who writes to the archive and wakes up days later may have written what is forgotten there by now.
if now() - ARGV[5] > tonumber(ARGV[6]) then
  return 0
end
-- A registered model is made of its files, and its outcome is still to be counted.
local is_needed = redis.call("EXISTS", key("run_models", run_id)) == 1 or redis.call("ZSCORE", key("unsettled"), run_id)
if is_needed or #list_awaited({run_id}) > 0 or fingerprint(run_id, KEYS) ~= ARGV[2] then
  return 0
end
for _, metric in ipairs(redis.call("HKEYS", key("metrics", run_id))) do
  redis.call("UNLINK", key("points", run_id, metric))
end
for _, name in ipairs(redis.call("HKEYS", key("histograms", run_id))) do
  redis.call("UNLINK", key("histogram", run_id, name))
end
redis.call("UNLINK", unpack(KEYS))
redis.call("HSET", key("archived"), run_id, ARGV[4])
publish("archived", run_id)
return 1
