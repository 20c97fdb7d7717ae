--[[
count_outcome: count the end of an occurrence for its job: failures in a row, after so many of which the job pauses
itself, and completions, after each of which the next one is expected anew. Executed with each commit of a task of a job
that asks for that, as one atomic step; only the one that ends the occurrence finds work.

USES append_audit check_types
KEYS
  job         hash    {ns:shard}:job:<job_id>          counts, and is paused
  occurrence  hash    {ns:shard}:occurrence:<occ_id>   read: has it ended? Is marked as counted
  audit       list    {ns:shard}:audit:<job_id>        gets a line about a pause
  expected    zset    {ns:shard}:expected              job id by the ms by which it has to complete; 0 to report
                                                       that it has recovered
  wake        channel {ns:shard}:wake                  gets a message then
ARGV
  job_id     str
  patience   int  failures in a row after which the job pauses itself, 0 for never
  within_ms  int  how soon after a completion the next one is expected, 0 for never
  now        int  ms
  reason     str  of the pause, for people
OUT
  COUNTED failures  so many in a row now
  PAUSED failures   so many are too many
  OPEN              it has not ended, or was cancelled, which counts for nothing: nothing was written
  BEFORE            it was counted before, or the job is gone: nothing was written
KEEPS I1 I9
]]
local job, occurrence, audit, expected, wake = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local job_id, patience, within_ms, now, reason =
  ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]

check_types({job}, {expected}, nil, {audit})
local ended = redis.call('HMGET', occurrence, 'state', 'judged')
local counts = {completed = true, failed = true, failed_stale = true, timed_out = true}
if not counts[ended[1]] then return {'OPEN'} end
if ended[2] or redis.call('EXISTS', job) == 0 then return {'BEFORE'} end
-- A removal comes first: a script that has begun with one may go on writing at the memory limit.
redis.call('HDEL', occurrence, 'unjudged')
redis.call('HSET', occurrence, 'judged', '1')
if ended[1] == 'completed' then
  redis.call('HSET', job, 'failures', '0')
  local recovered = redis.call('HEXISTS', job, 'overdue_at') == 1
  if within_ms > 0 then redis.call('ZADD', expected, recovered and 0 or now + within_ms, job_id) end
  if within_ms > 0 and recovered then redis.call('PUBLISH', wake, 'run') end
  return {'COUNTED', 0}
end
local failures = redis.call('HINCRBY', job, 'failures', 1)
local pause = redis.call('HMGET', job, 'paused', 'paused_until')
local paused = pause[1] and (pause[2] == '0' or tonumber(pause[2]) > now)
if patience == 0 or failures < patience or paused then return {'COUNTED', failures} end
redis.call('HSET', job, 'paused', reason, 'paused_until', '0', 'paused_at', now)
append_audit(audit, now, 'pause_on_failure', 'paused', reason)
return {'PAUSED', failures}
