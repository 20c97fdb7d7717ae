--[[
end_schedule: end the schedule of a job because one of its runs has said that the job is done: its instants are recorded
as skipped until the job is resumed. Executed with the commit that ends the run, as one atomic step: the commit leaves a
mark in the record of the run, which this script takes away.

USES append_audit
KEYS
  run    hash    {ns:shard}:run:<run_id>    loses the mark
  job    hash    {ns:shard}:job:<job_id>    is marked
  audit  list    {ns:shard}:audit:<job_id>  gets a line
ARGV
  reason  str  who and why, for people
  now     int  ms
  by      str  the task that has ended it
  note    str  for the audit list
OUT
  ENDED    the job fires no more
  BEFORE   the mark is gone: an earlier send did it, or the commit was refused; nothing was written
  UNKNOWN  there is no such job (any more): only the mark is gone
KEEPS I1 I7 I9
]]
local run, job, audit = KEYS[1], KEYS[2], KEYS[3]
local reason, now, by, note = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

redis.call('HLEN', job)
redis.call('LLEN', audit)
-- A removal comes first: a script that has begun with one may go on writing at the memory limit.
if redis.call('HDEL', run, 'ends_schedule') == 0 then return {'BEFORE'} end
if redis.call('EXISTS', job) == 0 then return {'UNKNOWN'} end
redis.call('HSET', job, 'paused', reason, 'paused_until', '0', 'paused_at', now)
append_audit(audit, now, by, 'ended', note)
return {'ENDED'}
