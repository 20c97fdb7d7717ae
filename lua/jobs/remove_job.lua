--[[
remove_job: forget a job. Nothing more becomes due; occurrences that run or wait in its queue come to their end under
its version; its history expires by itself.

USES append_audit check_types ends_audit
KEYS
  job       hash    {ns:shard}:job:<job_id>       deleted
  due       zset    {ns:shard}:due                loses the job
  versions  hash    {ns:shard}:versions:<job_id>  gets the definition and where the job's time ends, and an expiry: live
                                                  occurrences still look their version up; the fingerprints of
                                                  definitions that were replaced before they were in force as well
  history   zset    {ns:shard}:history:<job_id>   gets an expiry
  audit     list    {ns:shard}:audit:<job_id>     gets a line and an expiry
  chores    zset    {ns:shard}:chores             loses the update that was pending
  live      zset    {ns:shard}:live:<job_id>      \ read: is any occurrence of it going on?
  queued    zset    {ns:shard}:queued:<job_id>    /
ARGV
  job_id   str
  version  int  the current version
  keep_ms  int  how long history, versions and the audit list are kept
  hold_ms  int  how long the versions are kept at least while something goes on under them
  now      int  ms
  by       str  the author of the change
OUT
  REMOVED  it is gone, by this call or an earlier send of it
  STALE    it has another version, or another call has removed it: nothing was written
KEEPS I1 I3 I9
]]
local job, due, versions, history, audit, chores, live, queued =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local job_id, version, keep_ms, hold_ms, now, by =
  ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6]

check_types({job, versions}, {due, history, chores}, nil, {audit})
local known = redis.call('HMGET', job, 'version', 'definition', 'cursor', 'passed', 'pending_mark')
if known[1] ~= version then
  local is_again = not known[1] and ends_audit(audit, now, by, 'removed', 'version ' .. version)
  return {is_again and 'REMOVED' or 'STALE'}
end
-- A removal comes first: a script that has begun with one may go on writing at the memory limit.
redis.call('ZREM', due, job_id)
redis.call('ZREM', chores, 'update:' .. job_id)
redis.call('HSET', versions, version, known[2], version .. ':until', known[3], version .. ':over', now)
-- What was never in force stands in no version: a process of before the removal must not bring it back.
local passed = string.sub((known[4] or '') .. (known[5] and known[5] .. ' ' or ''), -340)
if passed ~= '' then redis.call('HSET', versions, 'passed', passed) end
local goes_on = redis.call('EXISTS', live, queued) > 0
redis.call('PEXPIRE', versions, goes_on and math.max(keep_ms, hold_ms) or keep_ms)
redis.call('PEXPIRE', history, keep_ms)
append_audit(audit, now, by, 'removed', 'version ' .. version)
redis.call('PEXPIRE', audit, keep_ms)
redis.call('DEL', job)
return {'REMOVED'}
