--[[
resume_job: end the pause of a job; its next due instant is fired again.

USES append_audit
KEYS
  job    hash    {ns:shard}:job:<job_id>    loses the mark
  audit  list    {ns:shard}:audit:<job_id>  gets a line
ARGV
  now  int  ms
  by   str  the author of the change
OUT
  RESUMED  now or before
  UNKNOWN  there is no such job: nothing was written
KEEPS I1 I9
]]
local job, audit = KEYS[1], KEYS[2]
local now, by = ARGV[1], ARGV[2]

redis.call('LLEN', audit)
if redis.call('EXISTS', job) == 0 then return {'UNKNOWN'} end
if redis.call('HDEL', job, 'paused', 'paused_until', 'paused_at') == 0 then return {'RESUMED'} end
-- From here on a completion is expected anew, and failures in a row are counted anew.
redis.call('HSET', job, 'resumed_at', now)
redis.call('HDEL', job, 'failures')
append_audit(audit, now, by, 'resumed', '')
return {'RESUMED'}
