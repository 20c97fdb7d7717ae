--[[
delay_run: create a run that waits for its time.

USES delay_member
KEYS
  run      hash    {ns:shard}:run:<run_id>  created, with the message
  delayed  zset    {ns:shard}:delayed       place:run id by the ms it is promoted at
  wake     channel {ns:shard}:wake          gets a message when nothing is due earlier
  closed   set     {ns:shard}:closed        places that take no new runs
  unique   string  {ns:shard}:unique:<key>  optional: holds the run id while the key is taken
ARGV
  run_id       str  the caller's choice, so that a second send is recognised
  handler      str  name of the callable
  message      str  encoded message
  place        str  `<queue>:<prio>`
  unique_ms    int  how long the unique key is held at the most
  due_at       int  ms from which on it may start
OUT
  CREATED        the run waits in the delayed set
  MINE           this very call has created it before
  EXISTS holder  the unique key belongs to another run
  CLOSED         the queue takes no new runs: nothing was written
KEEPS I3 I4 I9
]]
local run, delayed, wake, closed, unique = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local run_id, handler, message, place, unique_ms, due_at = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

if redis.call('EXISTS', run) == 1 then return 'MINE' end
if unique then
  local holder = redis.call('GET', unique)
  if holder and holder ~= run_id then return {'EXISTS', holder} end
end
if redis.call('SISMEMBER', closed, place) == 1 then return 'CLOSED' end

-- First what a key of the wrong type can refuse.
delay_member(delayed, wake, place .. ':' .. run_id, due_at)
redis.call('HSET', run, 'state', 'scheduled', 'handler', handler, 'place', place,
  'due_at', due_at, 'message', message, 'attempt', '0', 'crashes', '0')
if unique then redis.call('SET', unique, run_id, 'PX', unique_ms) end
return 'CREATED'
