--[[
pause_job: instants that become due from now on are recorded as skipped, until the job is resumed.

KEYS
  job    hash    {ns:shard}:job:<job_id>    is marked
  audit  list    {ns:shard}:audit:<job_id>  is told
ARGV
  reason   str  who and why, for people
  ends_at  int  ms at which the pause ends by itself, 0 for never
  now      int  ms
  by       str  who
  note     str  for the audit list
OUT
  PAUSED   now or before
  UNKNOWN  there is no such job: nothing was written
KEEPS I1 I9
]]
local job, audit = KEYS[1], KEYS[2]
local reason, ends_at, now, by, note = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

if redis.call('EXISTS', job) == 0 then return {'UNKNOWN'} end
local held = redis.call('HMGET', job, 'paused', 'paused_until', 'paused_at')
if held[1] == reason and held[2] == ends_at and held[3] == now then return {'PAUSED'} end
redis.call('HSET', job, 'paused', reason, 'paused_until', ends_at, 'paused_at', now)
redis.call('RPUSH', audit, table.concat({now, by, 'paused', note}, '\n'))
redis.call('LTRIM', audit, -1000, -1)
return {'PAUSED'}
