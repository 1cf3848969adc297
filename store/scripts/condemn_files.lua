-- condemn_files: return files that are to be deleted: those that were noted so long ago and have no record, which they
-- cannot get any more, and those whose record is gone. They come again later, behind others, unless they are settled.
-- KEYS 1 artifacts:unsettled (zset, score = since when, or where it is to be deleted -(time of the next try))
-- ARGV 1 seconds  2 most files  3 seconds until the next try
local time, most = now(), tonumber(ARGV[2])
local last = string.format("%.6f", time - ARGV[1])
local files = redis.call("ZRANGEBYSCORE", KEYS[1], "0", last, "LIMIT", 0, most)
local due = redis.call("ZREVRANGEBYSCORE", KEYS[1], "(0", "-" .. time, "LIMIT", 0, most - #files)
for _, file in ipairs(due) do
  files[#files + 1] = file
end
local again = string.format("-%.6f", time + ARGV[3])
for _, file in ipairs(files) do
  redis.call("ZADD", KEYS[1], again, file)
end
return files
