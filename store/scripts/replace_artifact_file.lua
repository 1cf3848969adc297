-- replace_artifact_file: give a record whose file is gone one that was written with the same bytes; the old one is noted as
-- one to delete. Returns 1; 0 where the record is gone, or has another file by now. CONFLICT where the file is noted no more.
-- KEYS 1 run:<id>:artifacts (hash)  2 artifacts:unsettled (zset)
-- ARGV 1 name:version  2 the old file  3 the new one
local stored = redis.call("HGET", KEYS[1], ARGV[1])
if not stored then
  return 0
end
local file = cjson.decode(stored).file
if file == ARGV[3] then
  return 1  -- its reply was lost, and it asks again
end
if file ~= ARGV[2] then
  return 0
end
if tonumber(redis.call("ZSCORE", KEYS[2], ARGV[3]) or -1) < 0 then
  return redis.error_reply("CONFLICT The upload took so long that its file was taken for a leftover. Send it again.")
end
-- As text: written anew by cjson, its numbers would lose digits. No text in it holds a bare quote.
local first, last = string.find(stored, '"file":"' .. ARGV[2] .. '"', 1, true)
redis.call("HSET", KEYS[1], ARGV[1],
  string.sub(stored, 1, first - 1) .. '"file":"' .. ARGV[3] .. '"' .. string.sub(stored, last + 1))
redis.call("ZREM", KEYS[2], ARGV[3])
redis.call("ZADD", KEYS[2], -1, ARGV[2])
return 1
