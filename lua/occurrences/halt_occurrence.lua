--[[
halt_occurrence: let a live occurrence end early. From now on none of its runs is tried again, and it ends with
this verdict when the last of them has. The runs are ended by the caller, and by tickers as long as it is not done.

USES check_all_types
KEYS
  occurrence  hash  {ns:shard}:occurrence:<occ_id>  is marked
  deadlines   zset  {ns:shard}:deadlines            has the occurrence until its end
ARGV
  occ_id    str
  verdict   str  timed_out or canceled
  reason    str  the verdict for people
  again_at  int  ms at which tickers look whether its runs have ended
OUT
  HALTED  marked, by this call or an earlier one, whose verdict stays
  GONE    it is not going on: no deadline is left, nothing else was written
KEEPS I3 I7 I9 I10
]]
local occurrence, deadlines = KEYS[1], KEYS[2]
local occ_id, verdict, reason, again_at = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

check_all_types(KEYS)
local state = redis.call('HGET', occurrence, 'state')
-- A removal comes first: a script that has begun with one may go on writing at the memory limit.
redis.call('ZREM', deadlines, occ_id)
if state ~= 'pending' and state ~= 'running' then return {'GONE'} end
-- A task that has failed for good under fail_fast may have halted it before: the first cause is the one on record.
if redis.call('HSETNX', occurrence, 'halt', verdict) == 1 then
  redis.call('HSET', occurrence, 'verdict', verdict, 'error', reason)
end
redis.call('HSET', occurrence, 'deadline', again_at)
redis.call('ZADD', deadlines, again_at, occ_id)
return {'HALTED'}
