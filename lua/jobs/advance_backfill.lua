--[[
advance_backfill: record the progress of a backfill. Of several tickers that took the same step one is the first; the
others have fired the same occurrences, since their ids are the same.

USES check_all_types
KEYS
  backfill  hash  {ns:shard}:backfill:<backfill_id>  gets its progress, and its expiry at the end
  chores    zset  {ns:shard}:chores                  gets the ms to look again, or loses the backfill at the end
ARGV
  chore        str  the name of the chore that takes its steps
  step         int  the number of the step that the progress was made from
  progress     str  JSON of how far it is
  look_at      int  ms at which to look again
  keep_ms      int  how long the record is kept, 0 while it goes on
OUT
  ADVANCED  recorded
  STALE     another step was faster, or it has ended: nothing was written
KEEPS I7 I9 I10
]]
local backfill, chores = KEYS[1], KEYS[2]
local chore, step, progress, look_at, keep_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

check_all_types(KEYS)
if redis.call('HGET', backfill, 'step') ~= step then return {'STALE'} end
redis.call('HSET', backfill, 'progress', progress, 'step', step + 1)
if keep_ms == '0' then
  redis.call('ZADD', chores, look_at, chore)
else
  redis.call('HSET', backfill, 'step', 'ended')
  redis.call('PEXPIRE', backfill, keep_ms)
  redis.call('ZREM', chores, chore)
end
return {'ADVANCED'}
