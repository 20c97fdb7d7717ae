--[[
resume_job: end the pause of a job; its next due instant is fired again.

KEYS
  job  hash  {ns:shard}:job:<job_id>  loses the mark
ARGV
OUT
  RESUMED  now or before
  UNKNOWN  there is no such job: nothing was written
KEEPS I1
]]
local job = KEYS[1]

if redis.call('EXISTS', job) == 0 then return {'UNKNOWN'} end
redis.call('HDEL', job, 'paused', 'paused_until')
return {'RESUMED'}
