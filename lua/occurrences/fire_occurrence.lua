--[[
fire_occurrence: fire an instant that a backfill or a replay asks for, beside the schedule. The cursor stays.

USES read_from enqueue_entry set_deadline release_tasks check_types check_tasks
KEYS
  job         hash    {ns:shard}:job:<job_id>          read: its version
  occurrence  hash    {ns:shard}:occurrence:<occ_id>   created
  history     zset    {ns:shard}:history:<job_id>      gets it by the second of now: its own may be long ago
  live        zset    {ns:shard}:live:<job_id>         gets it
  queued      zset    {ns:shard}:queued:<job_id>       read: does another one wait?
  streams     set     {ns:shard}:streams               places of the streams that exist
  deadlines   zset    {ns:shard}:deadlines             gets the occurrence when it has a deadline
  run         hash    {ns:shard}:run:<run_id>          \ one pair
  stream      stream  {ns:shard}:stream:<queue>:<prio> / for each task
ARGV
  job_id, occ_id  str
  version  int  of the definition that it runs under
  instant  int  the due instant that it stands for, Unix seconds
  now      int  ms
  reason   str  why, for people
  origin   str  `replay <occurrence>` or `backfill <id>`
  overlaps str  yes: it may run beside others
  deadline int  ms from which on it is timed out; empty for never
  run_id, handler, place, message, waits  for each task; waits is how many tasks must succeed before
OUT
  FIRED          its first runs are on their streams
  TAKEN          it is on record already: fired by this call before, or by another caller
  BUSY occ_id    this one is going on or waits, and the job allows no two at once: nothing was written
  STALE version  the job has another version, or is gone (0): nothing was written
KEEPS I2 I8 I9 I10
]]
local job, occurrence, history, live, queued, streams, deadlines =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local tasks, next_keys, check_keys =
  math.min((#KEYS - 7) / 2, 50), read_from(KEYS, 8), read_from(KEYS, 8)
local job_id, occ_id, version, instant, now, reason, origin, overlaps, deadline =
  ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local next_args = read_from(ARGV, 10)

check_types({job}, {history, live, queued, deadlines}, {streams})
check_tasks(tasks, check_keys)
local current = redis.call('HGET', job, 'version')
if current ~= version then return {'STALE', tonumber(current or 0)} end
if redis.call('EXISTS', occurrence) == 1 then return {'TAKEN'} end
local busy = redis.call('ZRANGE', live, 0, 0)[1] or redis.call('ZRANGE', queued, 0, 0)[1]
if busy and overlaps ~= 'yes' then return {'BUSY', busy} end

redis.call('HSET', occurrence, 'job', job_id, 'version', version, 'due', instant, 'state', 'pending', 'reason', reason,
  'claimed_at', now, 'origin', origin, 'open', tasks)
redis.call('ZADD', history, math.floor(now / 1000), occ_id)
redis.call('ZADD', live, instant, occ_id)
set_deadline(occurrence, deadlines, occ_id, deadline)
release_tasks(tasks, next_keys, next_args, occ_id, now, streams)
return {'FIRED'}
