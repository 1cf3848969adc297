-- add_note: add what somebody wrote about a run. Returns {the id of the note, 1 if it is new}; nil when there is no such run,
-- CONFLICT when it has as many as it may. A known idempotency key answers with its note, or CONFLICT when the text differs;
-- without a key a repeat after a lost reply adds it twice.
-- KEYS 1 run:<id> (hash)  2 run:<id>:notes (stream)  3 idempotency:<key> (string "note_id digest"), or absent
-- ARGV 1 run_id  2 text  3 most notes of a run  4 digest of the text  5 seconds an idempotency key is kept
if redis.call("EXISTS", KEYS[1]) == 0 then
  return nil
end
local known_id, refusal = recall(KEYS[3], ARGV[4], "note", "Use a new key for a new note.")
if known_id or refusal then
  return refusal or {known_id, 0}
end
if redis.call("XLEN", KEYS[2]) >= tonumber(ARGV[3]) then
  return redis.error_reply("CONFLICT Run " .. ARGV[1] .. " has " .. ARGV[3] .. " notes, and no more are kept.")
end
local note_id = redis.call("XADD", KEYS[2], "*", "text", ARGV[2])
remember(KEYS[3], note_id, ARGV[4], ARGV[5])
return {note_id, 1}
