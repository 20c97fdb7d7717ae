--[[
commit_successes: end up to 100 runs of one stream that succeeded and change nothing but their records: no occurrence,
no unique key. The same as commit_run for each of them, at a third of the cost.

USES read_from list_ended add_outcomes
KEYS
  stream   stream  {ns:shard}:stream:<queue>:<prio>  loses the entries
  ended    list    {ns:shard}:ended:<state>          lists the runs
  outcomes hash    {ns:shard}:outcomes:<day>         counts the runs
  run      hash    {ns:shard}:run:<run_id>           \ one pair for each run: becomes succeeded;
  attempt  hash    {ns:shard}:attempt:<attempt_id>   / written once; both get their expiry
ARGV
  worker        str  the worker that ran them
  retention_ms  int  how long the records are kept
  queue         str  the queue of all of them
  entry, number, started_at, ended_at, result, task  for each run: its entry, the attempt's number, ms, ms, JSON or
                     empty, the name of its task
OUT
  DONE stale  recorded, now or by an earlier send; then the positions, from 1, of runs whose attempt another
              caller has ended: for those nothing was written
KEEPS I4 I5 I6 I7 I9 I10
]]
local stream, ended, outcomes, worker, retention_ms, queue = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2], ARGV[3]
local runs, next_keys, next_args = math.min((#KEYS - 3) / 2, 100), read_from(KEYS, 4), read_from(ARGV, 4)

local reply, gone, listed, tasks, id_at = {'DONE'}, {}, {}, {}, nil
for i = 1, runs do
  local run, attempt = next_keys(2)
  local entry, number, started_at, ended_at, result, task = next_args(6)
  -- A key of the wrong type ends the script here, while the entry is still there for the next send.
  redis.call('HLEN', attempt)
  redis.call('HLEN', run)
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
return reply
