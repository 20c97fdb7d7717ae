--[[
commit_occurrences: end up to 100 runs of one stream that succeeded, each the only task of its occurrence, and with each
the occurrence; ask for the next one in the job's queue to be started. For jobs without `on_complete` and without a
count of outcomes, the same as commit_task for each of them, at a third of the cost.

USES read_from list_ended add_outcomes
KEYS
  stream      stream  {ns:shard}:stream:<queue>:<prio>  loses the entries
  ended       list    {ns:shard}:ended:<state>          lists the runs
  outcomes    hash    {ns:shard}:outcomes:<day>         counts the runs
  starts      set     {ns:shard}:starts                 gets the jobs of which another occurrence waits
  wake        channel {ns:shard}:wake                   gets a message then
  deadlines   zset    {ns:shard}:deadlines              loses the occurrences that have one
  run         hash    {ns:shard}:run:<run_id>           \ becomes succeeded
  attempt     hash    {ns:shard}:attempt:<attempt_id>   \ written once
  occurrence  hash    {ns:shard}:occurrence:<occ_id>    \ ends; all three get their expiry
  live        zset    {ns:shard}:live:<job_id>          \ loses the occurrence
  queued      zset    {ns:shard}:queued:<job_id>        / read: does another one wait? five keys for each run
ARGV
  worker        str  the worker that ran them
  retention_ms  int  how long the records are kept
  queue         str  the queue of all of them
  entry, number, started_at, ended_at, result, task, job_id, occ_id  for each run: its entry, the attempt's number, ms,
                     ms, JSON or empty, the name of its task, its job and its occurrence
OUT
  DONE stale  recorded, now or by an earlier send; then the positions, from 1, of runs whose attempt another
              caller has ended: for those nothing was written
KEEPS I3 I4 I5 I6 I7 I8 I9 I10
]]
local stream, ended, outcomes, starts, wake, deadlines = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local worker, retention_ms, queue = ARGV[1], ARGV[2], ARGV[3]
local runs, next_keys, next_args = math.min((#KEYS - 6) / 5, 100), read_from(KEYS, 7), read_from(ARGV, 4)

-- A key of the wrong type ends the script while the entry that concerns it is still there for the next send.
redis.call('SCARD', starts)
redis.call('ZCARD', deadlines)
local reply, gone, listed, tasks, woken, id_at = {'DONE'}, {}, {}, {}, 0, nil
for i = 1, runs do
  local run, attempt, occurrence, live, queued = next_keys(5)
  local entry, number, started_at, ended_at, result, task, job_id, occ_id = next_args(8)
  redis.call('HLEN', attempt)
  redis.call('HLEN', run)
  redis.call('ZCARD', live)
  local kept = redis.call('HMGET', occurrence, 'verdict', 'deadline')
  if redis.call('XACK', stream, 'workers', entry) == 1 then
    gone[#gone + 1] = entry
    tasks[#tasks + 1] = task
    redis.call('HSET', attempt, 'state', 'succeeded', 'number', number, 'worker', worker,
      'started_at', started_at, 'ended_at', ended_at)
    redis.call('HSET', run, 'state', 'succeeded', 'attempt', number, 'ended_at', ended_at)
    if result ~= '' then redis.call('HSET', run, 'result', result) end
    redis.call('PEXPIRE', attempt, retention_ms)
    redis.call('PEXPIRE', run, retention_ms)
    -- The id stands behind the same prefix in the key of each run.
    id_at = id_at or #string.match(run, '^.-:run:') + 1
    listed[#listed + 1] = string.sub(run, id_at)
    redis.call('HSET', occurrence, 'open', 0, 'state', kept[1] or 'completed', 'ended_at', ended_at)
    if kept[2] then redis.call('ZREM', deadlines, occ_id) end
    redis.call('PEXPIRE', occurrence, retention_ms)
    redis.call('ZREM', live, occ_id)
    if redis.call('EXISTS', queued) == 1 then woken = woken + redis.call('SADD', starts, job_id) end
  else
    local before = redis.call('HMGET', attempt, 'state', 'worker', 'ended_at')
    if before[1] ~= 'succeeded' or before[2] ~= worker or before[3] ~= ended_at then
      reply[#reply + 1] = i
    else
      -- The send that recorded it may have ended before it came to remove the entry.
      gone[#gone + 1] = entry
    end
  end
end
if #gone > 0 then redis.call('XDEL', stream, unpack(gone)) end
list_ended(ended, listed)
add_outcomes(outcomes, 'succeeded ' .. queue .. ' ', tasks)
if woken > 0 then redis.call('PUBLISH', wake, 'start') end
return reply
