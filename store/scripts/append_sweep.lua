-- append_sweep: add entries to the journal of a sweep, all or none. Returns how many it has; nil when there is no such sweep.
-- Not idempotent: a repeat after a lost reply adds them twice.
-- KEYS 1 sweep:<sweep> (hash)  2 sweep:<sweep>:journal (list)
-- ARGV 1.. entries as JSON
if redis.call("EXISTS", KEYS[1]) == 0 then
  return nil
end
return redis.call("RPUSH", KEYS[2], unpack(ARGV))
