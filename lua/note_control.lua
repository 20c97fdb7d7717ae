--[[
note_control: tell the audit stream of a job what somebody did that changed nothing of the job itself.

KEYS
  job    hash    {ns:shard}:job:<job_id>    read: is it there?
  audit  stream  {ns:shard}:audit:<job_id>  is told
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
local last = redis.call('XREVRANGE', audit, '+', '-', 'COUNT', 1)[1]
local told = last and table.concat(last[2], '\n') == table.concat({'at', now, 'by', by, 'what', what, 'note', note}, '\n')
if told then return {'NOTED'} end
redis.call('XADD', audit, 'MAXLEN', '~', 1000, '*', 'at', now, 'by', by, 'what', what, 'note', note)
return {'NOTED'}
