--[[
purge_dead: delete dead runs with what they carry, at most 100 in one call.

KEYS
  dead  zset  {ns:shard}:dead          loses the runs
  run   hash  {ns:shard}:run:<run_id>  for each run: deleted
ARGV
  run_id  str  for each run
OUT
  PURGED n  how many were deleted; the others are no dead letters (any more): nothing of them was written
KEEPS I9 I10
]]
local dead = KEYS[1]

local purged = 0
for i = 1, math.min(#KEYS - 1, 100) do
  local run, run_id = KEYS[i + 1], ARGV[i]
  -- A run that is not dead may still have work to do, so membership decides; its hash may have expired before.
  if redis.call('ZREM', dead, run_id) == 1 then
    redis.call('DEL', run)
    purged = purged + 1
  end
end
return {'PURGED', purged}
