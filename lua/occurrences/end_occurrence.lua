--[[
end_occurrence: finish an occurrence whose last run has ended: the records of its runs, kept as long as another task
could ask for their results, get their last expiry, and the job's on_complete becomes a run. Executed with each commit
of a task of a job that has several tasks or an on_complete, as one atomic step; only the one that ends the occurrence
finds work.

USES read_from enqueue_entry check_types
KEYS
  occurrence  hash    {ns:shard}:occurrence:<occ_id>    read: has it ended? Loses its counter then
  mine        hash    {ns:shard}:run:<run_id>           the run that was ended: kept while the occurrence goes on
  complete    hash    {ns:shard}:run:<run_id>           the run of on_complete: created
  stream      stream  {ns:shard}:stream:<queue>:<prio>  gets its entry
  streams     set     {ns:shard}:streams                places of the streams that exist
  run         hash    {ns:shard}:run:<run_id>           for each task and its reducer: gets its last expiry, unless
                                                        it is a dead letter: then it stays as long as that list
ARGV
  history_ms  int  how long they are kept
  handler     str  name of on_complete's callable
  place       str  `<queue>:<prio>` of it
  message     str  encoded message of it, empty for a job that has none
  now         int  ms
  hold_ms     int  how long the record is kept while the occurrence goes on
OUT
  ENDED   by the call that this one was sent with, or before: then nothing was written
  OPEN    it has not ended
KEEPS I3 I5 I9
]]
local occurrence, mine, complete, stream, streams = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local records, next_keys = math.min(#KEYS - 5, 100), read_from(KEYS, 6)
local history_ms, handler, place, message, now, hold_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local state = redis.call('HGET', occurrence, 'state')
if not state then return {'OPEN'} end
if state == 'pending' or state == 'running' then
  local ended = redis.call('HMGET', mine, 'state', 'ended_at', 'buried')
  if ended[2] and ended[1] ~= 'dead' and not ended[3] then redis.call('PEXPIRE', mine, hold_ms) end
  return {'OPEN'}
end
if message ~= '' then check_types({complete}, {}, {streams}, {}, {stream}) end
-- A removal comes first: a script that has begun with one may go on writing at the memory limit.
if redis.call('HDEL', occurrence, 'open') == 0 then return {'ENDED'} end
for _ = 1, records do
  local run = next_keys(1)
  -- pcall: a record of the wrong type expires like the others.
  local ended = redis.pcall('HMGET', run, 'state', 'buried')
  if ended[1] ~= 'dead' and not ended[2] then redis.call('PEXPIRE', run, history_ms) end
end
if message == '' then return {'ENDED'} end
redis.call('HSET', complete, 'state', 'pending', 'handler', handler, 'place', place, 'enqueued_at', now,
  'entry', enqueue_entry(stream, streams, place, message))
return {'ENDED'}
