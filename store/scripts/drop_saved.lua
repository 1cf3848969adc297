-- drop_saved: mark a saved model as one that is deleted; no model is made of it any more. Returns 1. NOTFOUND without the
-- run, CONFLICT while it is not over for good, or a model needs it.
-- KEYS 1 run:<id>  2 run:<id>:models  3 run:<id>:artifacts:facts (hashes)
-- ARGV 1 run_id  2 best or last  3 so long a silence is the end of a run, s
local refusal = refuse_going_on(ARGV[1], ARGV[3])
if refusal then
  return refusal
end
local models = redis.call("HGETALL", KEYS[2])
for i = 2, #models, 2 do
  if models[i] == "saved:" .. ARGV[2] then
    return redis.error_reply("CONFLICT The model " .. models[i - 1] .. " needs " .. ARGV[2] .. ". Delete that version first.")
  end
end
redis.call("HSET", KEYS[3], "dropped:" .. ARGV[2], 1)
return 1
