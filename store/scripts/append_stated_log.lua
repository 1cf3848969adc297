-- append_stated_log: add one batch of lines that a script says. Returns {lines added, what the script is asked for or ""};
-- 0 lines and no change for a batch that came before.
-- KEYS 1 run:<id>:log (stream, capped)  2 run:<id>:sources (hash)
-- ARGV 1 run_id  2 session  3 number of the batch  4 most lines kept  5 most sessions of a run; then for each line its
--      time, s, and its text
-- Also: run:<id> (hash), runs:external, runs:* (zsets), totals:* (hashes, set), events (stream)
local run_id, session, number = ARGV[1], ARGV[2] .. ":log", ARGV[3]
local state, refusal = find_external(run_id)
if refusal then
  return refusal
end
if is_repeated(run_id, session, number) then
  return {0, state.request}
end
if redis.call("HEXISTS", KEYS[2], session) == 0 and redis.call("HLEN", KEYS[2]) >= tonumber(ARGV[5]) then
  return redis.error_reply("INVALID Run " .. run_id .. " has had " .. ARGV[5]
    .. " sessions, and no more are kept apart. Nothing of this batch was stored.")
end
take_number(run_id, session, number)
for i = 6, #ARGV, 2 do
  redis.call("XADD", KEYS[1], "MAXLEN", "~", ARGV[4], "*", "text", ARGV[i + 1], "time", ARGV[i])
end
hear(run_id, state, now())
tally("log_lines", (#ARGV - 5) / 2)
return {(#ARGV - 5) / 2, state.request}
