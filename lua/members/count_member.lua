--[[
count_member: count the end of a run that belongs to a group, once; the last one releases the reducer, once. Executed
with the commit that ends the run, as one atomic step: the commit leaves the mark that this script takes away.

USES enqueue_entry check_types
KEYS
  run      hash    {ns:shard}:run:<run_id>           loses the mark
  group    hash    {ns:shard}:group:<group_id>       counts
  results  hash    {ns:shard}:results:<group_id>     gets the result, or `!` and the error, by index; expires
  reducer  hash    {ns:shard}:run:<group_id>         gets its entry when this was the last run
  stream   stream  {ns:shard}:stream:<queue>:<prio>  of the reducer
  streams  set     {ns:shard}:streams                places of the streams that exist
ARGV
  index    int  of the run in its group
  place    str  `<queue>:<prio>` of the reducer
  hold_ms  int  how long the group is kept when nothing happens to it
OUT
  COUNTED n  how many have ended
  HALTED n   likewise, and this failure is the first one of a group that fails fast; a second send gets this word for
             each failure in such a group: what follows may be done twice, and must not be left out
  BEFORE     it was counted before, or has not ended: nothing was written
KEEPS I3 I5 I7 I9
]]
local run, group, results, reducer, stream, streams = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local index, place, hold_ms = ARGV[1], ARGV[2], ARGV[3]

local counted = redis.call('HMGET', group, 'done', 'total')
redis.call('HLEN', results)
if tonumber(counted[1] or 0) + 1 == tonumber(counted[2] or '') then check_types({reducer}, {}, {streams}, {}, {stream}) end
-- A removal comes first: a script that has begun with one may go on writing at the memory limit.
local is_first = redis.call('HDEL', run, 'uncounted') == 1
local ended = redis.call('HMGET', run, 'state', 'result', 'error')
local good = ended[1] == 'succeeded'
if not is_first then
  local failed = ({failed = true, dead = true, timed_out = true, canceled = true})[ended[1]]
  local known = redis.call('HMGET', group, 'failure', 'halt', 'done')
  if failed and known[1] == 'fail_fast' and known[2] then return {'HALTED', tonumber(known[3])} end
  return {'BEFORE'}
end
local kept = good and (ended[2] or 'null') or '!' .. ended[1] .. ': ' .. string.sub(ended[3] or '', 1, 500)
redis.call('HSET', results, index, kept)
redis.call('PEXPIRE', results, hold_ms)
local done = redis.call('HINCRBY', group, 'done', 1)
redis.call('PEXPIRE', group, hold_ms)
local word = 'COUNTED'
if not good then
  redis.call('HINCRBY', group, 'failed', 1)
  redis.call('HSETNX', group, 'error', 'item ' .. index .. ' ' .. string.sub(kept, 2))
  local fast = redis.call('HGET', group, 'failure') == 'fail_fast'
  if fast and redis.call('HSETNX', group, 'halt', 1) == 1 then word = 'HALTED' end
end
local total = redis.call('HGET', group, 'total')
local message = total and done == tonumber(total) and redis.call('HGET', reducer, 'message')
if message then
  redis.call('HSET', reducer, 'entry', enqueue_entry(stream, streams, place, message))
  redis.call('HDEL', reducer, 'message', 'waits')
end
return {word, done}
