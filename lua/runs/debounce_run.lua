--[[
debounce_run: create a run that starts when no further call has come for a while, or put off the run that waits already.

USES delay_member
KEYS
  run      hash    {ns:shard}:run:<run_id>  created, unless another call's run still waits
  earlier  hash    {ns:shard}:run:<run_id>  the run of an earlier call that the caller saw; gets the new message
  delayed  zset    {ns:shard}:delayed       place:run id by the ms it is promoted at
  lock     string  {ns:shard}:unique:<key>  the run that waits; expires when it is due
  closed   set     {ns:shard}:closed        places that take no new runs
  wake     channel {ns:shard}:wake          gets a message when nothing is due earlier
ARGV
  run_id   str  the caller's choice, so that a second send is recognised
  seen     str  the run of an earlier call that the caller saw; empty for none
  handler  str  name of the callable
  message  str  encoded message of the new run
  moved    str  the same message for the run that was seen
  place    str  `<queue>:<prio>`
  now      int  ms
  due_at   int  ms: when it starts if no further call comes
  latest   int  ms: when it starts at the latest; that of the first call counts
OUT
  CREATED        the run waits in the delayed set
  MINE           this very call has created it before
  MOVED holder   the run that was seen does the work of this call, and waits on
  EXISTS holder  another run waits: come again with it
  CLOSED         the queue takes no new runs: nothing was written
KEEPS I3 I4 I9
]]
local run, earlier, delayed, lock, closed, wake = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local run_id, seen, handler, message, moved = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local place, now, due_at, latest = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9]

if redis.call('EXISTS', run) == 1 then return {'MINE'} end
local holder = redis.call('GET', lock)
if holder and holder ~= seen then return {'EXISTS', holder} end
local before = redis.call('HMGET', earlier, 'place', 'latest')
local waiting = (before[1] or '') .. ':' .. seen
if holder and redis.call('ZSCORE', delayed, waiting) then
  local at = math.min(due_at, tonumber(before[2]))
  redis.call('HSET', earlier, 'message', moved, 'due_at', at)
  redis.call('ZADD', delayed, at, waiting)
  redis.call('PEXPIRE', lock, math.max(1, at - now))
  return {'MOVED', holder}
end
if redis.call('SISMEMBER', closed, place) == 1 then return {'CLOSED'} end
-- First what a key of the wrong type can refuse.
delay_member(delayed, wake, place .. ':' .. run_id, due_at)
redis.call('HSET', run, 'state', 'scheduled', 'handler', handler, 'place', place,
  'due_at', due_at, 'latest', latest, 'message', message, 'attempt', '0', 'crashes', '0')
redis.call('SET', lock, run_id, 'PX', math.max(1, due_at - now))
return {'CREATED'}
