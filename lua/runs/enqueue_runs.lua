--[[
enqueue_runs: create up to 100 runs of one place that may start at once, in order. None of them has a unique key.

USES read_from enqueue_entry
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
local runs, next_keys = math.min(#KEYS - 3, 100), read_from(KEYS, 4)
local place, next_args = ARGV[1], read_from(ARGV, 2)

local is_closed, created, records = redis.call('SISMEMBER', closed, place) == 1, 0, {next_keys(runs)}
-- One look at all of them replaces one at each: nearly always none is there.
local new, known = {}, redis.call('EXISTS', unpack(records)) > 0
for i = 1, runs do
  local run, handler, message = records[i], next_args(2)
  if not new[run] and not (known and redis.call('EXISTS', run) == 1) then
    -- A run that an earlier send created before the queue was closed exists already; a run that does not is refused.
    if is_closed then return {'CLOSED'} end
    redis.call('HSET', run, 'state', 'pending', 'handler', handler, 'place', place,
      'entry', enqueue_entry(stream, streams, place, message))
    created, new[run] = created + 1, true
  end
end
return {'CREATED', created}
