--[[
undo_run: begin to undo the steps of a run that is to end failed or canceled: it gets one more attempt, whose message
says how the run ends afterwards. A request to cancel is over with it.

USES read_from enqueue_entry take_from_source check_all_types
KEYS
  stream   stream  {ns:shard}:stream:<queue>:<prio>  loses the entry
  run      hash    {ns:shard}:run:<run_id>           pending
  attempt  hash    {ns:shard}:attempt:<attempt_id>   written once, with its expiry; not for a run that was waiting
  delayed  zset    {ns:shard}:delayed                loses the run when it is taken from there
  next     stream  {ns:shard}:stream:<queue>:<prio>  gets the entry
  streams  set     {ns:shard}:streams                places of the streams that exist
ARGV
  source         str  attempt (an entry in flight), fetched (one that has not begun), stream (an entry that nobody
                      fetched), delayed, waiting
  entry          str  the stream entry
  run_id         str
  place          str  `<queue>:<prio>`
  message        str  the run's message from here on
  attempt_state  str  terminal state of the attempt
  worker         str  the one that ends the attempt
  next_number    int  number of the next attempt
  crashes        int  lost attempts so far
  keep_ms        int  how long the attempt's record is kept
  field          str  \ pairs for the attempt
  value          str  /
OUT
  DONE   the run is on its stream, now or by an earlier send of this very call
  STALE  another caller has ended this attempt: nothing was written
KEEPS I3 I4 I5 I6 I7 I9
]]
local stream, run, attempt, delayed, next, streams = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local source, entry, run_id, place, message, attempt_state = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local worker, next_number, crashes, keep_ms, next_fields = ARGV[7], ARGV[8], ARGV[9], ARGV[10], read_from(ARGV, 11)

check_all_types(KEYS)
if take_from_source(source, stream, entry, run, delayed, place, run_id) == 0 then
  local before = redis.call('HMGET', attempt, 'state', 'worker')
  return source == 'attempt' and before[1] == attempt_state and before[2] == worker and 'DONE' or 'STALE'
end
if source == 'attempt' then
  redis.call('HSET', attempt, next_fields())
  redis.call('PEXPIRE', attempt, keep_ms)
end
redis.call('HSET', run, 'state', 'pending', 'attempt', next_number, 'crashes', crashes,
  'entry', enqueue_entry(next, streams, place, message, next_number, crashes))
redis.call('HDEL', run, 'message', 'due_at', 'note', 'wait', 'question', 'cancel')
return 'DONE'
