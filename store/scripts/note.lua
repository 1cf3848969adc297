-- note: add a line to a run's log that no worker wrote. 0 when there is no such run. Not idempotent: a repeat after a lost
-- reply shows the line twice.
-- KEYS 1 run:<id> (hash)
-- ARGV 1 run_id  2 the line
-- Also: run:<id>:log (stream, capped)
if redis.call("EXISTS", KEYS[1]) == 0 then
  return 0
end
note(ARGV[1], ARGV[2])
return 1
