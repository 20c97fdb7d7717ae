--[[
hold_run: put off a fetched run whose task or limit is on hold, until the hold ends by itself or is released.

USES delay_member check_all_types
KEYS
  holds    zset    {ns:shard}:holds                  names on hold, by the ms at which the hold ends
  parked   zset    {ns:shard}:parked:<name>          place:run id of runs that it puts off; expires
  stream   stream  {ns:shard}:stream:<queue>:<prio>  loses the entry
  run      hash    {ns:shard}:run:<run_id>           scheduled
  delayed  zset    {ns:shard}:delayed                gets the run
  wake     channel {ns:shard}:wake                   gets a message when nothing is due earlier
ARGV
  name     str  the name that is on hold
  entry    str  the stream entry
  run_id   str
  place    str  `<queue>:<prio>`
  message  str  the run's message
  number   int  of the attempt
  crashes  int  lost attempts so far
  now      int  ms
OUT
  HELD until  it comes back at that ms
  FREE        the hold is over: nothing was written
  STALE       another caller has ended the attempt: nothing was written
KEEPS I3 I7 I9
]]
local holds, parked, stream, run, delayed, wake = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local name, entry, run_id, place, message = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local number, crashes, now = ARGV[6], ARGV[7], tonumber(ARGV[8])

check_all_types(KEYS)
local ends_at = tonumber(redis.call('ZSCORE', holds, name) or '')
if not ends_at or ends_at <= now then return 'FREE' end
if redis.call('XACK', stream, 'workers', entry) == 0 then return 'STALE' end
local member = place .. ':' .. run_id
redis.call('XDEL', stream, entry)
redis.call('HSET', run, 'state', 'scheduled', 'entry', '', 'message', message, 'attempt', number, 'crashes', crashes,
  'due_at', ends_at, 'note', 'on hold: ' .. name)
delay_member(delayed, wake, member, ends_at)
redis.call('ZADD', parked, ends_at, member)
redis.call('PEXPIRE', parked, ends_at - now + 60000)
return {'HELD', ends_at}
