--[[
enqueue_run: create a run that may start at once, and put it onto its stream.

USES enqueue_entry
KEYS
  run      hash    {ns:shard}:run:<run_id>           created
  stream   stream  {ns:shard}:stream:<queue>:<prio>  gets the entry; created with its group when absent
  streams  set     {ns:shard}:streams                places of the streams that exist
  closed   set     {ns:shard}:closed                 places that take no new runs
  unique   string  {ns:shard}:unique:<key>           optional: holds the run id while the key is taken
ARGV
  handler    str  name of the callable
  message    str  encoded message
  place      str  `<queue>:<prio>`, as the set of streams has it
  run_id     str  \ with a unique key only: the caller's choice, so that a second send is recognised,
  unique_ms  int  / and how long the key is held at the most
OUT
  CREATED        the run waits on its stream
  MINE           this very call has created it before
  EXISTS holder  the unique key belongs to another run
  CLOSED         the queue takes no new runs: nothing was written
KEEPS I3 I4 I9
]]
local run, stream, streams, closed, unique = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local handler, message, place, run_id, unique_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

-- One look tells that neither is there, as is nearly always so. pcall: older rules of users allow each of them alone.
local known = redis.pcall('EXISTS', run, closed) ~= 0
if known and redis.call('EXISTS', run) == 1 then return 'MINE' end
if unique then
  local holder = redis.call('GET', unique)
  if holder and holder ~= run_id then return {'EXISTS', holder} end
end
if known and redis.call('SISMEMBER', closed, place) == 1 then return 'CLOSED' end

local entry = enqueue_entry(stream, streams, place, message)
redis.call('HSET', run, 'state', 'pending', 'handler', handler, 'place', place, 'entry', entry)
if unique then redis.call('SET', unique, run_id, 'PX', unique_ms) end
return 'CREATED'
