-- delete_note: forget a note of a run and what it was changed to. Returns how many that were, 0 or 1.
-- KEYS 1 run:<id>:notes (stream)  2 run:<id>:notes:edits (hash)
-- ARGV 1 note id
redis.call("HDEL", KEYS[2], ARGV[1])
return redis.call("XDEL", KEYS[1], ARGV[1])
