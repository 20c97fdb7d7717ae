--[[
commit_occurrences: end up to 100 runs of one stream that succeeded, each the only task of its occurrence, and with each
the occurrence; ask for the next one in the job's queue to be started. For jobs without `on_complete` and without a
count of outcomes, the same as commit_task for each of them, at a third of the cost.

USES read_from owns_entry list_ended add_outcomes check_types acknowledge_all record_success leave_stream
KEYS
  stream      stream  {ns:shard}:stream:<queue>:<prio>  loses the entries
  ended       list    {ns:shard}:ended:<state>          lists the runs
  outcomes    hash    {ns:shard}:outcomes:<day>         counts the runs
  starts      set     {ns:shard}:starts                 gets the jobs of which another occurrence waits
  wake        channel {ns:shard}:wake                   gets a message then
  deadlines   zset    {ns:shard}:deadlines              loses the occurrences that have one
  attempt     hash    {ns:shard}:attempt:<attempt_id>   for each run: written once, and gets its expiry
  run         hash    {ns:shard}:run:<run_id>           \ becomes succeeded
  occurrence  hash    {ns:shard}:occurrence:<occ_id>    \ ends; both get their expiry
  live        zset    {ns:shard}:live:<job_id>          \ loses the occurrence
  queued      zset    {ns:shard}:queued:<job_id>        / read: does another one wait? four keys, then for each run
ARGV
  worker        str  the worker that ran them
  retention_ms  int  how long the records are kept
  queue         str  the queue of all of them
  count         int  number of runs
  entry         str  for each run: its entry
  number, started_at, ended_at, result, task, job_id, occ_id  then for each run: the attempt's number, ms, ms, JSON or
                     empty, the name of its task, its job and its occurrence
OUT
  DONE stale  recorded, now or by an earlier send; then the positions, from 1, of runs whose attempt another
              caller has ended: for those nothing was written
KEEPS I3 I4 I5 I6 I7 I8 I9 I10
]]
local stream, ended, outcomes, starts, wake, deadlines = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local worker, retention_ms, queue = ARGV[1], ARGV[2], ARGV[3]
local count, next_args = tonumber(ARGV[4]), read_from(ARGV, 5)
local runs, next_keys = math.min((#KEYS - 6) / 5, 100), read_from(KEYS, 7)

-- A key of the wrong type ends the script here, while the entries are still there for the next send.
check_types({}, {deadlines}, {starts})
local reply, gone, written, tasks, done, broken, refused, woken = {'DONE'}, {}, {}, {}, 0, {}, nil, 0
local entries, attempts = {next_args(count)}, {next_keys(count)}
local all = acknowledge_all(stream, entries, attempts, runs)
for i = 1, runs do
  local run, occurrence, live, queued = next_keys(4)
  local number, started_at, ended_at, result, task, job_id, occ_id = next_args(7)
  local mine = all or owns_entry(stream, entries[i], attempts[i], worker, ended_at)
  -- pcall, here and below: it is acknowledged by now, and a key of the wrong type may hold up no other run.
  local kept = mine and redis.pcall('HMGET', occurrence, 'verdict', 'deadline')
  local failed = mine and (kept.err and kept
    or record_success(run, attempts[i], worker, retention_ms, number, started_at, ended_at, result))
  if failed then
    refused, broken[#broken + 1] = failed, entries[i]
  elseif mine then
    done = done + 1
    gone[done], written[done], tasks[done] = entries[i], run, task
    redis.call('HSET', occurrence, 'open', '0', 'state', kept[1] or 'completed', 'ended_at', ended_at)
    if kept[2] then redis.call('ZREM', deadlines, occ_id) end
    redis.call('PEXPIRE', occurrence, retention_ms)
    redis.pcall('ZREM', live, occ_id)
    if redis.call('EXISTS', queued) == 1 then woken = woken + redis.call('SADD', starts, job_id) end
  elseif mine == false then
    reply[#reply + 1] = i
  end
end
leave_stream(stream, gone, broken, worker, ended, written, outcomes, queue, tasks)
if woken > 0 then redis.call('PUBLISH', wake, 'start') end
return refused or reply
