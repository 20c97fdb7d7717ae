--[[
enqueue_on_dead: enqueue the task that is called with a dead run. Executed with the commit that ends the run as dead, as
one atomic step: the commit leaves the message of the task's run, which this script takes away.

USES enqueue_entry check_all_types
KEYS
  run       hash    {ns:shard}:run:<run_id>           the dead run: loses the message
  task_run  hash    {ns:shard}:run:<run_id>           the task's run: created
  stream    stream  {ns:shard}:stream:<queue>:<prio>  gets its entry
  streams   set     {ns:shard}:streams                places of the streams that exist
ARGV
  handler  str  name of the task's callable
  place    str  `<queue>:<prio>`
  now      int  ms
OUT
  SENT    the task's run waits on its stream
  BEFORE  it was sent before, or the run is not dead: nothing was written
KEEPS I3 I5 I7 I9
]]
local run, task_run, stream, streams = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local handler, place, now = ARGV[1], ARGV[2], ARGV[3]

check_all_types(KEYS)
local message = redis.call('HGET', run, 'letter')
-- A removal comes first: a script that has begun with one may go on writing at the memory limit.
if redis.call('HDEL', run, 'letter') == 0 then return {'BEFORE'} end
redis.call('HSET', task_run, 'state', 'pending', 'handler', handler, 'place', place, 'enqueued_at', now,
  'entry', enqueue_entry(stream, streams, place, message))
return {'SENT'}
