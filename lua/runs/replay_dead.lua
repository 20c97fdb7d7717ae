--[[
replay_dead: give the work of a dead run to a new run. The dead one stays dead and leaves the dead letters; each names
the other, so that the dead one is not retried besides.

USES enqueue_entry move_steps check_all_types
KEYS
  dead     zset    {ns:shard}:dead                   loses the dead run
  old      hash    {ns:shard}:run:<run_id>           the dead run: gets a note and the id of the new one
  run      hash    {ns:shard}:run:<run_id>           the new run: created
  stream   stream  {ns:shard}:stream:<queue>:<prio>  gets its entry
  streams  set     {ns:shard}:streams                places of the streams that exist
  done     hash    {ns:shard}:steps:<run_id>         the steps of the dead run: go to the new one
  steps    hash    {ns:shard}:steps:<run_id>         the steps of the new run
  unique   string  {ns:shard}:unique:<key>           optional: holds the new run's id while the key is taken
ARGV
  old_id     str  the dead run
  run_id     str  the caller's choice for the new one, so that a second send is recognised
  handler    str  name of the callable
  message    str  encoded message of the new run
  place      str  `<queue>:<prio>`
  unique_ms  int  how long the unique key is held at the most
OUT
  REPLAYED       the new run waits on its stream
  MINE           this very call has replayed it before
  GONE           it is no dead letter (any more): replayed by another caller, purged or expired; nothing was written
  EXISTS holder  its unique key belongs to another run: nothing was written
KEEPS I3 I4 I9 I10
]]
local dead, old, run, stream, streams = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local done, steps, unique = KEYS[6], KEYS[7], KEYS[8]
local old_id, run_id, handler, message, place, unique_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

check_all_types(KEYS)
if redis.call('EXISTS', run) == 1 then return {'MINE'} end
if not redis.call('ZSCORE', dead, old_id) or redis.call('EXISTS', old) == 0 then return {'GONE'} end
if unique then
  local holder = redis.call('GET', unique)
  if holder and holder ~= run_id then return {'EXISTS', holder} end
end

move_steps(done, steps, {})
local entry = enqueue_entry(stream, streams, place, message)
redis.call('HSET', run, 'state', 'pending', 'handler', handler, 'place', place, 'entry', entry, 'retry_of', old_id)
if unique then redis.call('SET', unique, run_id, 'PX', unique_ms) end
redis.call('HSET', old, 'note', 'replayed as ' .. run_id, 'retried_as', run_id)
redis.call('ZREM', dead, old_id)
return {'REPLAYED'}
