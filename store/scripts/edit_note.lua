-- edit_note: replace the text of a note, which keeps its id and its time. Returns 1; 0 when there is no such note.
-- KEYS 1 run:<id>:notes (stream)  2 run:<id>:notes:edits (hash: note id -> JSON [text, time])
-- ARGV 1 note id  2 text
local found = redis.call("XRANGE", KEYS[1], ARGV[1], ARGV[1])
if #found == 0 then
  return 0
end
redis.call("HSET", KEYS[2], ARGV[1], cjson.encode({ARGV[2], now()}))
return 1
