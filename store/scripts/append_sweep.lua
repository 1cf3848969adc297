-- append_sweep: add entries to the journal of a sweep, all or none. Returns how many it has; nil when there is no such sweep; -1 when its journal is not as long as who writes believes.
-- A repeat after a lost reply adds nothing: the first has made the journal longer.
-- KEYS 1 sweep:<sweep> (hash)  2 sweep:<sweep>:journal (list)
-- ARGV 1 how many entries the writer has read  2.. entries as JSON
if redis.call("EXISTS", KEYS[1]) == 0 then
  return nil
end
if redis.call("LLEN", KEYS[2]) ~= tonumber(ARGV[1]) then
  return -1
end
-- One by one: Lua hands over no more than some 8,000 values at once.
for i = 2, #ARGV do
  redis.call("RPUSH", KEYS[2], ARGV[i])
end
return redis.call("LLEN", KEYS[2])
