--[[
cancel_queued: end an occurrence that waits in its job's queue and has no runs yet.

USES check_all_types
KEYS
  occurrence  hash  {ns:shard}:occurrence:<occ_id>  becomes canceled and gets its expiry
  queued      zset  {ns:shard}:queued:<job_id>      loses it
  starts      set   {ns:shard}:starts               loses the job when nothing of it waits any more
ARGV
  job_id, occ_id  str
  ended_at    int  ms
  reason      str  why, for people
  history_ms  int  how long it is kept
OUT
  CANCELED  it will not run
  TAKEN     it has started or ended: nothing was written
KEEPS I7 I9 I10
]]
local occurrence, queued, starts = KEYS[1], KEYS[2], KEYS[3]
local job_id, occ_id, ended_at, reason, history_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

check_all_types(KEYS)
if redis.call('HGET', occurrence, 'state') ~= 'queued' then return {'TAKEN'} end
redis.call('ZREM', queued, occ_id)
if redis.call('EXISTS', queued) == 0 then redis.call('SREM', starts, job_id) end
redis.call('HSET', occurrence, 'state', 'canceled', 'ended_at', ended_at, 'error', reason)
redis.call('PEXPIRE', occurrence, history_ms)
return {'CANCELED'}
