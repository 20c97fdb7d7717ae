--[[
purge_dead: delete dead runs with their records, at most 100 in one call.

USES read_from
KEYS
  dead  zset  {ns:shard}:dead          loses the runs
  run   hash  {ns:shard}:run:<run_id>  for each run: deleted
ARGV
  run_id  str  for each run
OUT
  PURGED left  deleted, now or by an earlier send; then the positions, from 1, of runs that are on record and are no dead
               letters (any more): of those nothing was written
KEEPS I9 I10
]]
local dead, next_keys = KEYS[1], read_from(KEYS, 2)
local count, next_args = math.min(#ARGV, 100), read_from(ARGV, 1)

local reply = {'PURGED'}
for i = 1, count do
  local run, run_id = next_keys(1), next_args(1)
  -- A run that is not dead may still have work to do, so membership decides; its hash may have expired before.
  if redis.call('ZREM', dead, run_id) == 1 then
    redis.call('DEL', run)
  elseif redis.call('EXISTS', run) == 1 then
    reply[#reply + 1] = i
  end
end
return reply
