--[[
record_job_change: tell the audit list of a job what somebody did that changed nothing of the job itself.

KEYS
  job    hash    {ns:shard}:job:<job_id>    read: is it there?
  audit  list    {ns:shard}:audit:<job_id>  is told
ARGV
  now   int  ms
  by    str  who
  what  str  one word
  note  str  for people
OUT
  NOTED    now, or by an earlier send that was the last to be noted
  UNKNOWN  there is no such job: nothing was written
KEEPS I9
]]
local job, audit = KEYS[1], KEYS[2]
local now, by, what, note = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if redis.call('EXISTS', job) == 0 then return {'UNKNOWN'} end
local told = table.concat({now, by, what, note}, '\n')
if redis.call('LINDEX', audit, -1) == told then return {'NOTED'} end
redis.call('RPUSH', audit, told)
redis.call('LTRIM', audit, -1000, -1)
return {'NOTED'}
