-- list_awaited: tell which runs somebody has still to read here, so that they are not moved to the archive.
-- KEYS 1 sweeps:active (set)
-- ARGV run ids
-- Also: run:<id> (hash), alerts:rules, alerts:progress (hashes), events (stream)
return list_awaited(ARGV)
