--[[
raise_alert: report once that a job has not completed in time, or once that it has recovered. The mark and the run that
reports it are one step, so that any number of tickers may find it out.

USES enqueue_entry check_all_types
KEYS
  job       hash    {ns:shard}:job:<job_id>           is marked, or loses the mark
  expected  zset    {ns:shard}:expected               job id by the ms by which it has to complete; moves on
  run       hash    {ns:shard}:run:<run_id>           the run that reports it: created
  stream    stream  {ns:shard}:stream:<queue>:<prio>  gets its entry
  streams   set     {ns:shard}:streams                places of the streams that exist
ARGV
  job_id   str
  seen     int  the mark that was found in `expected`: 0 for a recovery
  next_at  int  ms by which the next completion is expected; 0 for none before the job has recovered
  run_id   str
  handler  str  name of the task that reports it
  place    str  `<queue>:<prio>` of it
  message  str  encoded message of it
  now      int  ms
OUT
  RAISED  the run is on its stream
  STALE   another ticker has reported it, or the job has completed or is gone: nothing was written
KEEPS I3 I4 I5 I9
]]
local job, expected, run, stream, streams = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local job_id, seen, next_at, run_id, handler, place, message, now =
  ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]

check_all_types(KEYS)
if redis.call('ZSCORE', expected, job_id) ~= seen or redis.call('EXISTS', job) == 0 then return {'STALE'} end
redis.call('ZREM', expected, job_id)
if next_at ~= '0' then redis.call('ZADD', expected, next_at, job_id) end
if seen == '0' then redis.call('HDEL', job, 'overdue_at') else redis.call('HSET', job, 'overdue_at', now) end
redis.call('HSET', run, 'state', 'pending', 'handler', handler, 'place', place, 'enqueued_at', now,
  'entry', enqueue_entry(stream, streams, place, message))
return {'RAISED'}
