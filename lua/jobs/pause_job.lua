--[[
pause_job: pause a job: instants that become due from now on are recorded as skipped, until the job is resumed.

USES append_audit
KEYS
  job    hash    {ns:shard}:job:<job_id>    is marked
  audit  list    {ns:shard}:audit:<job_id>  gets a line
ARGV
  reason   str  the person and the reason, for people
  ends_at  int  ms at which the pause ends by itself, 0 for never
  now      int  ms
  by       str  the author of the change
  note     str  for the audit list
OUT
  PAUSED   now or before
  UNKNOWN  there is no such job: nothing was written
KEEPS I1 I9
]]
local job, audit = KEYS[1], KEYS[2]
local reason, ends_at, now, by, note = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

redis.call('LLEN', audit)
if redis.call('EXISTS', job) == 0 then return {'UNKNOWN'} end
local pause = redis.call('HMGET', job, 'paused', 'paused_until', 'paused_at')
if pause[1] == reason and pause[2] == ends_at and pause[3] == now then return {'PAUSED'} end
redis.call('HSET', job, 'paused', reason, 'paused_until', ends_at, 'paused_at', now)
append_audit(audit, now, by, 'paused', note)
return {'PAUSED'}
