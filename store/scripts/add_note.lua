-- add_note: add what somebody wrote about a run. Returns the id of the note; nil when there is no such run, CONFLICT when it
-- has as many as it may. Not idempotent: a repeat after a lost reply adds it twice.
-- KEYS 1 run:<id> (hash)  2 run:<id>:notes (stream)
-- ARGV 1 run_id  2 text  3 most notes of a run
if redis.call("EXISTS", KEYS[1]) == 0 then
  return nil
end
if redis.call("XLEN", KEYS[2]) >= tonumber(ARGV[3]) then
  return redis.error_reply("CONFLICT Run " .. ARGV[1] .. " has " .. ARGV[3] .. " notes, and no more are kept.")
end
return redis.call("XADD", KEYS[2], "*", "text", ARGV[2])
