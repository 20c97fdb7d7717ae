--[[
put_off_unknown: put off a fetched run whose task its worker does not know, and list it for the next worker that starts.
Soon after a start it comes back soon, for the new worker may know its task; later ever more seldom.

USES delay_member check_all_types
KEYS
  stream   stream  {ns:shard}:stream:<queue>:<prio>  loses the entry
  run      hash    {ns:shard}:run:<run_id>           scheduled
  delayed  zset    {ns:shard}:delayed                gets the run
  wake     channel {ns:shard}:wake                   gets a message when nothing is due earlier
  unknown  zset    {ns:shard}:unknown                gets place:run id, by the ms at which it comes back; expires
  joined   string  {ns:shard}:joined                 read: ms at which the last worker has started
ARGV
  entry    str  the stream entry
  run_id   str
  place    str  `<queue>:<prio>`
  message  str  the run's message
  number   int  of the attempt
  crashes  int  lost attempts so far
  now      int  ms
  longest  int  ms after which it comes back at the latest
  note     str  why it waits, for people
OUT
  LATER due_at  it comes back at that ms
  STALE         another caller has ended the attempt, or it was put off before: nothing was written
  CANCELED      the run is to be cancelled: end it so; nothing was written
KEEPS I3 I4 I6 I7 I9
]]
local stream, run, delayed, wake, unknown, joined = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local entry, run_id, place, message, number, crashes = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local now, longest, note = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9]

check_all_types(KEYS)
local known = redis.call('HMGET', run, 'entry', 'cancel')
if known[1] == entry and known[2] then return {'CANCELED'} end
if redis.call('XACK', stream, 'workers', entry) == 0 then return {'STALE'} end
redis.call('XDEL', stream, entry)
local since = now - (tonumber(redis.call('GET', joined) or '') or 0)
local due_at = now + math.min(longest, math.max(100, math.floor(since / 2)))
redis.call('HSET', run, 'state', 'scheduled', 'entry', '', 'message', message, 'attempt', number, 'crashes', crashes,
  'due_at', due_at, 'note', note)
local member = place .. ':' .. run_id
delay_member(delayed, wake, member, due_at)
redis.call('ZADD', unknown, due_at, member)
redis.call('PEXPIRE', unknown, longest + 60000)
return {'LATER', due_at}
