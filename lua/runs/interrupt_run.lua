--[[
interrupt_run: give back an entry whose handler has begun and that its worker cannot finish: the worker ends. The attempt
does not count: it has neither failed nor crashed, and the next one has its number.

KEYS
  stream   stream  {ns:shard}:stream:<queue>:<prio>  loses the entry; gets the next one
  run      hash    {ns:shard}:run:<run_id>           pending again, `interruptions` + 1
  attempt  hash    {ns:shard}:attempt:<attempt_id>   deleted: it says at most that the attempt was going on
  group    hash    {ns:shard}:occurrence:<occ_id>    optional, or the run's group: read, was it halted meanwhile?
ARGV
  entry    str  the stream entry
  message  str  the run's message
  number   int  number of the attempt
  crashes  int  lost attempts so far
OUT
  DONE      the run waits for any worker
  STALE     another caller has ended this attempt, or an earlier send has given it back: nothing was written
  CANCELED  the run is to be cancelled: end it so; nothing was written
KEEPS I3 I4 I6 I7 I9
]]
local stream, run, attempt, group = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local entry, message, number, crashes = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local known = redis.call('HMGET', run, 'entry', 'cancel')
if known[1] == entry then
  local halted = group and redis.call('HEXISTS', group, 'halt') == 1
  if known[2] or halted then return 'CANCELED' end
end
if redis.call('XACK', stream, 'workers', entry) == 0 then return 'STALE' end

redis.call('XDEL', stream, entry)
redis.call('DEL', attempt)
-- The stream exists: the entry that was acknowledged just now was in it.
local again = redis.call('XADD', stream, '*', 'm', message, 'n', number, 'c', crashes)
redis.call('HSET', run, 'state', 'pending', 'entry', again, 'attempt', number)
redis.call('HINCRBY', run, 'interruptions', 1)
return 'DONE'
