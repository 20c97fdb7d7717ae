--[[
pause_job: instants that become due from now on are recorded as skipped, until the job is resumed.

KEYS
  job  hash  {ns:shard}:job:<job_id>  is marked
ARGV
  reason  str  who and why, for people
  ends_at int  ms at which the pause ends by itself, 0 for never
OUT
  PAUSED   now or before
  UNKNOWN  there is no such job: nothing was written
KEEPS I1
]]
local job = KEYS[1]
local reason, ends_at = ARGV[1], ARGV[2]

if redis.call('EXISTS', job) == 0 then return {'UNKNOWN'} end
redis.call('HSET', job, 'paused', reason, 'paused_until', ends_at)
return {'PAUSED'}
