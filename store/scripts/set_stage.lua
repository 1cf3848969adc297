-- set_stage: give a version of a model another stage; a former production one of its name is archived. Returns 1, also where
-- it has that stage, or nil when there is no such version. Of a history the first entry and the newest are kept.
-- KEYS 1 models:history  2 models:facts (hashes)
-- ARGV 1 name  2 version  3 stage  4 note, or ""  5 most entries of a history
local name, stage = ARGV[1], ARGV[3]
local model, fact = name .. ":" .. ARGV[2], "production:" .. name
local function change(which, to, note)
  local entries = cjson.decode(redis.call("HGET", KEYS[1], which))
  entries[#entries + 1] = {stage = to, time = tonumber(now()), note = note ~= "" and note or nil}
  while #entries > tonumber(ARGV[5]) do
    table.remove(entries, 2)
  end
  for place, entry in ipairs(entries) do
    entries[place] = encode_object(entry)
  end
  redis.call("HSET", KEYS[1], which, "[" .. table.concat(entries, ",") .. "]")
end
local history = redis.call("HGET", KEYS[1], model)
if not history then
  return nil
end
local stages = cjson.decode(history)
if stages[#stages].stage == stage then
  return 1
end
local former = redis.call("HGET", KEYS[2], fact)
if former == ARGV[2] then
  redis.call("HDEL", KEYS[2], fact)
elseif former and stage == "production" then
  change(name .. ":" .. former, "archived", model .. " became production")
end
if stage == "production" then
  redis.call("HSET", KEYS[2], fact, ARGV[2])
end
change(model, stage, ARGV[4])
return 1
