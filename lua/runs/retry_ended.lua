--[[
retry_ended: give the work of a run that ended without success to a new run. The old one stays as it ended; each names
the other. A dead one leaves the dead letters.

USES enqueue_entry move_steps read_from check_all_types
KEYS
  old      hash    {ns:shard}:run:<run_id>           the ended run: gets a note and the id of the new one
  dead     zset    {ns:shard}:dead                   loses the ended run when it is there
  run      hash    {ns:shard}:run:<run_id>           the new run: created
  stream   stream  {ns:shard}:stream:<queue>:<prio>  gets its entry
  streams  set     {ns:shard}:streams                places of the streams that exist
  closed   set     {ns:shard}:closed                 places that take no new runs
  done     hash    {ns:shard}:steps:<run_id>         the steps of the ended run: go to the new one
  steps    hash    {ns:shard}:steps:<run_id>         the steps of the new run
  unique   string  {ns:shard}:unique:<key>           optional: holds the new run's id while the key is taken
ARGV
  old_id     str  the ended run
  run_id     str  the caller's choice for the new one, so that a second send is recognised
  handler    str  name of the callable
  message    str  encoded message of the new run
  place      str  `<queue>:<prio>`
  unique_ms  int  how long the unique key is held at the most
  step       str  each step that is done again, at most 5,000
OUT
  RETRIED        the new run waits on its stream
  MINE           this very call has retried it before
  AGAIN run      it was retried before, as this run: nothing was written
  GONE           it is not on record, or it is none that failed, timed out, died or was canceled: nothing was written
  CLOSED         the queue is being drained: nothing was written
  EXISTS holder  its unique key belongs to another run: nothing was written
KEEPS I3 I4 I9 I10
]]
local old, dead, run, stream, streams, closed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local done, steps, unique = KEYS[7], KEYS[8], KEYS[9]
local old_id, run_id, handler, message, place, unique_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local next_steps = read_from(ARGV, 7)

check_all_types(KEYS)
if redis.call('EXISTS', run) == 1 then return {'MINE'} end
local ended = redis.call('HMGET', old, 'state', 'retried_as')
local retryable = {failed = true, timed_out = true, canceled = true, dead = true}
if not retryable[ended[1] or ''] then return {'GONE'} end
if ended[2] then return {'AGAIN', ended[2]} end
if redis.call('SISMEMBER', closed, place) == 1 then return {'CLOSED'} end
local holder = unique and redis.call('GET', unique)
if holder and holder ~= run_id then return {'EXISTS', holder} end

move_steps(done, steps, {next_steps()})
local entry = enqueue_entry(stream, streams, place, message)
redis.call('HSET', run, 'state', 'pending', 'handler', handler, 'place', place, 'entry', entry, 'retry_of', old_id)
if unique then redis.call('SET', unique, run_id, 'PX', unique_ms) end
redis.call('HSET', old, 'note', 'retried as ' .. run_id, 'retried_as', run_id)
redis.call('ZREM', dead, old_id)
return {'RETRIED'}
