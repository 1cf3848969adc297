-- append_log: add lines to a run's log. Not idempotent: a repeat after a lost reply shows its lines twice.
-- KEYS 1 run:<id>:log (stream, capped)
-- ARGV 1 run_id  2 attempt  3 worker_id  4 most lines kept  5.. lines
local refusal = fence(ARGV[1], ARGV[2], ARGV[3])
if refusal then
  return refusal
end
for i = 5, #ARGV do
  redis.call("XADD", KEYS[1], "MAXLEN", "~", ARGV[4], "*", "text", ARGV[i])
end
tally("log_lines", #ARGV - 4)
return #ARGV - 4
