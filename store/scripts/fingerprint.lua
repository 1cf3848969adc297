-- fingerprint: tell what all that is kept of a run comes to, for ``archive`` to see whether it has changed since, and when that
-- is, s. nil without the run.
-- KEYS 1 run:<id> (hash)  2.. the keys of its parts
-- ARGV 1 run_id
if redis.call("EXISTS", KEYS[1]) == 0 then
  return nil
end
return {fingerprint(ARGV[1], KEYS), now()}
