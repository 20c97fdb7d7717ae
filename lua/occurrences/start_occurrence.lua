--[[
start_occurrence: start the first occurrence in a job's queue once no earlier one is live.

KEYS
  occurrence  hash    {ns:shard}:occurrence:<occ_id>   becomes pending
  live        zset    {ns:shard}:live:<job_id>         gets the occurrence
  queued      zset    {ns:shard}:queued:<job_id>       loses it
  starts      set     {ns:shard}:starts                loses the job, unless another occurrence still waits for nobody
  streams     set     {ns:shard}:streams               places of the streams that exist
  deadlines   zset    {ns:shard}:deadlines             gets the occurrence when it has a deadline
  run         hash    {ns:shard}:run:<run_id>          \ one pair
  stream      stream  {ns:shard}:stream:<queue>:<prio> / for each task
ARGV
  job_id, occ_id  str
  now         int  ms
  deadline    int  ms from which on it is timed out; empty for never
  run_id, handler, place, message, waits  for each task; waits is how many tasks must succeed before
OUT
  STARTED  its first runs are on their streams
  BUSY     an earlier occurrence is live; its end asks again
  TAKEN    it was started or cancelled before
KEEPS I3 I7 I8 I10
]]
local occurrence, live, queued, starts, streams, deadlines = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local job_id, occ_id, now, deadline = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if redis.call('HGET', occurrence, 'state') ~= 'queued' then
  -- The job stays in starts while another one waits: nobody else would ask again.
  redis.call('ZREM', queued, occ_id)
  if redis.call('EXISTS', queued) == 0 then redis.call('SREM', starts, job_id) end
  return {'TAKEN'}
end
redis.call('SREM', starts, job_id)
if redis.call('EXISTS', live) == 1 then return {'BUSY'} end

local tasks = math.min((#KEYS - 6) / 2, 50)
redis.call('ZADD', live, redis.call('ZSCORE', queued, occ_id), occ_id)
redis.call('ZREM', queued, occ_id)
redis.call('HSET', occurrence, 'state', 'pending', 'open', tasks, 'started_at', now)
if deadline ~= '' then
  redis.call('HSET', occurrence, 'deadline', deadline)
  redis.call('ZADD', deadlines, deadline, occ_id)
end
for i = 1, tasks do
  local run, stream, at = KEYS[5 + 2 * i], KEYS[6 + 2 * i], 5 * i
  local handler, place, message, waits = unpack(ARGV, at + 1, at + 4)
  redis.call('HSET', run, 'state', 'pending', 'handler', handler, 'place', place, 'enqueued_at', now, 'occurrence', occ_id)
  if waits ~= '0' then
    redis.call('HSET', run, 'waits', waits, 'message', message)
  else
    if redis.call('EXISTS', stream) == 0 then redis.call('XGROUP', 'CREATE', stream, 'workers', '0', 'MKSTREAM') end
    redis.call('SADD', streams, place)
    redis.call('HSET', run, 'entry', redis.call('XADD', stream, '*', 'm', message, 'n', 0, 'c', 0))
  end
end
return {'STARTED'}
