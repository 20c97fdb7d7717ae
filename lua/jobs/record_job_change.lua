--[[
record_job_change: write into the audit list of a job an action that changed nothing of the job itself.

USES append_audit ends_audit
KEYS
  job    hash    {ns:shard}:job:<job_id>    read: is it there?
  audit  list    {ns:shard}:audit:<job_id>  gets a line
ARGV
  now   int  ms
  by    str  the author of the change
  what  str  the kind of change, one word
  note  str  for people
OUT
  NOTED    written, now or by an earlier send whose line is the last one
  UNKNOWN  there is no such job: nothing was written
KEEPS I9
]]
local job, audit = KEYS[1], KEYS[2]
local now, by, what, note = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if redis.call('EXISTS', job) == 0 then return {'UNKNOWN'} end
-- The line of an earlier send whose reply was lost.
if ends_audit(audit, now, by, what, note) then return {'NOTED'} end
append_audit(audit, now, by, what, note)
return {'NOTED'}
