--[[
enqueue_runs: create up to 100 runs of one place that may start at once, in order. None of them has a unique key.

KEYS
  stream   stream  {ns:shard}:stream:<queue>:<prio>  gets the entries; created with its group when absent
  streams  set     {ns:shard}:streams                places of the streams that exist
  closed   set     {ns:shard}:closed                 places that take no new runs
  run      hash    {ns:shard}:run:<run_id>           for each run: created
ARGV
  place    str  `<queue>:<prio>`, as the set of streams has it
  handler  str  \ for each run: name of the callable
  message  str  / and encoded message
OUT
  CREATED n  how many were created; the others were created by an earlier send of this very call
  CLOSED     the queue takes no new runs: nothing was written
KEEPS I3 I4 I9
]]
local stream, streams, closed = KEYS[1], KEYS[2], KEYS[3]
local place = ARGV[1]

local shut, created = redis.call('SISMEMBER', closed, place) == 1, 0
for i = 1, math.min(#KEYS - 3, 100) do
  local run, handler, message = KEYS[i + 3], ARGV[2 * i], ARGV[2 * i + 1]
  if redis.call('EXISTS', run) == 0 then
    -- What an earlier send created before the queue was closed is no new call; this is one.
    if shut then return {'CLOSED'} end
    local entry = redis.call('XADD', stream, 'NOMKSTREAM', '*', 'm', message, 'n', 0, 'c', 0)
    if not entry then
      redis.call('XGROUP', 'CREATE', stream, 'workers', '0', 'MKSTREAM')
      redis.call('SADD', streams, place)
      entry = redis.call('XADD', stream, '*', 'm', message, 'n', 0, 'c', 0)
    end
    redis.call('HSET', run, 'state', 'pending', 'handler', handler, 'place', place, 'entry', entry)
    created = created + 1
  end
end
return {'CREATED', created}
