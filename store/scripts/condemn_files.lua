-- condemn_files: return files that are to be deleted: those that were noted so long ago and have no record, which they
-- cannot get any more, and those whose record is gone.
-- KEYS 1 artifacts:unsettled (zset, score = since when, or -1 where it is to be deleted)
-- ARGV 1 seconds  2 most files
local last = string.format("%.6f", now() - ARGV[1])
local files = redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", last, "LIMIT", 0, ARGV[2])
for _, file in ipairs(files) do
  redis.call("ZADD", KEYS[1], -1, file)
end
return files
