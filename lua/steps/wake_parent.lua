--[[
wake_parent: wake the run that is suspended until the runs of one of its steps have ended, when they have. Executed with
the commit that ends one of them, or right behind the call that ends several.

USES enqueue_entry check_all_types
KEYS
  group    hash    {ns:shard}:group:<group_id>       read: have all of its runs ended?
  run      hash    {ns:shard}:run:<run_id>           the run that waits for them: pending
  stream   stream  {ns:shard}:stream:<queue>:<prio>  gets its entry
  streams  set     {ns:shard}:streams                places of the streams that exist
  delayed  zset    {ns:shard}:delayed                loses it
ARGV
  run_id  str
  place   str  `<queue>:<prio>` of the run that waits
  wait    str  what it waits for: `:` and the id of the group
OUT
  WOKEN  it is on its stream
  LEFT   some have not ended, or it does not wait for them (any more): nothing was written
KEEPS I3 I4 I7 I10
]]
local group, run, stream, streams, delayed = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local run_id, place, wait = ARGV[1], ARGV[2], ARGV[3]

check_all_types(KEYS)
local count = redis.call('HMGET', group, 'done', 'total')
if not count[2] or tonumber(count[1] or 0) < tonumber(count[2]) then return {'LEFT'} end
local known = redis.call('HMGET', run, 'state', 'wait', 'message', 'attempt', 'crashes')
if known[1] ~= 'suspended' or known[2] ~= wait or not known[3] then return {'LEFT'} end
redis.call('ZREM', delayed, place .. ':' .. run_id)
redis.call('HSET', run, 'state', 'pending',
  'entry', enqueue_entry(stream, streams, place, known[3], known[4], known[5]))
redis.call('HDEL', run, 'message', 'due_at', 'note', 'wait')
return {'WOKEN'}
