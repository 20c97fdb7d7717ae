--[[
seal_group: end the mapping of a run that has succeeded: its group gets no more children, its reducer waits for them.
Executed with the commit that ends the parent, as one atomic step: the commit leaves the reducer's message, which this
script takes away. The reducer takes the parent's place in its occurrence and in the group that it belongs to itself; of
several reducers none does, but a run that waits for them: its group is sealed with those that it waits for.

USES enqueue_entry check_all_types
KEYS
  parent   hash    {ns:shard}:run:<run_id>           loses the message
  group    hash    {ns:shard}:group:<group_id>       gets the number of its children
  reducer  hash    {ns:shard}:run:<group_id>         created
  stream   stream  {ns:shard}:stream:<queue>:<prio>  gets the reducer's entry when no child is left
  streams  set     {ns:shard}:streams                places of the streams that exist
ARGV
  handler     str  name of the reducer's callable
  place       str  `<queue>:<prio>` of the reducer
  occurrence  str  id of the occurrence that it is held open by, or empty
  now         int  ms
  hold_ms     int  how long the group is kept when nothing happens to it
  mark        str  the parent's field that holds the message
  members     int  how many runs the reducer waits for, -1 for those that were added to its group
OUT
  SEALED total    the reducer waits for the children that have not ended
  RELEASED total  all had ended: the reducer is on its stream
  BEFORE          it was sealed before, or another caller has ended the parent: nothing was written
KEEPS I3 I5 I7 I9
]]
local parent, group, reducer, stream, streams = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local handler, place, occurrence, now, hold_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local mark, members = ARGV[6], tonumber(ARGV[7])

check_all_types(KEYS)
local message = redis.call('HGET', parent, mark)
if redis.call('HDEL', parent, mark) == 0 then return {'BEFORE'} end
local count = redis.call('HMGET', group, 'added', 'done')
local total, done = members < 0 and tonumber(count[1] or 0) or members, tonumber(count[2] or 0)
redis.call('HSET', group, 'total', total)
redis.call('PEXPIRE', group, hold_ms)
redis.call('HSET', reducer, 'state', 'pending', 'handler', handler, 'place', place, 'enqueued_at', now)
if occurrence ~= '' then redis.call('HSET', reducer, 'occurrence', occurrence) end
if done < total then
  redis.call('HSET', reducer, 'waits', '1', 'message', message)
  return {'SEALED', total}
end
redis.call('HSET', reducer, 'entry', enqueue_entry(stream, streams, place, message))
return {'RELEASED', total}
