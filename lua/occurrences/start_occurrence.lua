--[[
start_occurrence: start the first occurrence in a job's queue once no earlier one is live.

USES read_from enqueue_entry set_deadline release_tasks check_types check_tasks
KEYS
  occurrence  hash    {ns:shard}:occurrence:<occ_id>   becomes pending
  live        zset    {ns:shard}:live:<job_id>         gets the occurrence
  queued      zset    {ns:shard}:queued:<job_id>       loses it
  starts      set     {ns:shard}:starts                loses the job, unless another occurrence can start
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
local tasks, next_keys, check_keys =
  math.min((#KEYS - 6) / 2, 50), read_from(KEYS, 7), read_from(KEYS, 7)
local job_id, occ_id, now, deadline = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local next_args = read_from(ARGV, 5)

check_types({occurrence}, {live, queued, deadlines}, {starts, streams})
check_tasks(tasks, check_keys)
if redis.call('HGET', occurrence, 'state') ~= 'queued' then
  -- The job stays in starts while another occurrence waits: no other call would ask again.
  redis.call('ZREM', queued, occ_id)
  if redis.call('EXISTS', queued) == 0 then redis.call('SREM', starts, job_id) end
  return {'TAKEN'}
end
redis.call('SREM', starts, job_id)
if redis.call('EXISTS', live) == 1 then return {'BUSY'} end

-- Where the queue was lost, the occurrence itself says when it was due.
local due = redis.call('ZSCORE', queued, occ_id) or redis.call('HGET', occurrence, 'due')
redis.call('ZADD', live, due, occ_id)
redis.call('ZREM', queued, occ_id)
redis.call('HSET', occurrence, 'state', 'pending', 'open', tasks, 'started_at', now)
set_deadline(occurrence, deadlines, occ_id, deadline)
release_tasks(tasks, next_keys, next_args, occ_id, now, streams)
return {'STARTED'}
