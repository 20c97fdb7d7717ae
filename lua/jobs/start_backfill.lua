--[[
start_backfill: put a backfill on record and give it to the tickers.

USES check_all_types
KEYS
  backfill  hash    {ns:shard}:backfill:<backfill_id>  created
  chores    zset    {ns:shard}:chores                  chores of tickers by the ms they are due: gets the backfill
  wake      channel {ns:shard}:wake                    gets a message
ARGV
  chore        str  the name of the chore that takes its steps
  definition   str  JSON of what is asked for
  progress     str  JSON of how far it is
  now          int  ms
OUT
  STARTED  tickers work on it
  EXISTS   it was started before: nothing was written
KEEPS I9
]]
local backfill, chores, wake = KEYS[1], KEYS[2], KEYS[3]
local chore, definition, progress, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

check_all_types(KEYS)
if redis.call('EXISTS', backfill) == 1 then return {'EXISTS'} end
redis.call('HSET', backfill, 'definition', definition, 'progress', progress, 'step', '0')
redis.call('ZADD', chores, now, chore)
redis.call('PUBLISH', wake, 'job')
return {'STARTED'}
