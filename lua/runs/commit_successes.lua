--[[
commit_successes: end up to 100 runs of one stream that succeeded and change nothing but their records: no occurrence,
no unique key. The same as commit_run for each of them, at a third of the cost. What `record_success` writes is written
here without entering it: its call for each run costs 2 % of the server's time. A test holds the two alike.

USES read_from owns_entry list_ended add_outcomes check_types acknowledge_all leave_stream
KEYS
  stream   stream  {ns:shard}:stream:<queue>:<prio>  loses the entries
  ended    list    {ns:shard}:ended:<state>          lists the runs
  outcomes hash    {ns:shard}:outcomes:<day>         counts the runs
  attempt  hash    {ns:shard}:attempt:<attempt_id>   for each run: written once, and gets its expiry
  run      hash    {ns:shard}:run:<run_id>           then for each run: becomes succeeded, and gets its expiry
ARGV
  worker        str  the worker that ran them
  retention_ms  int  how long the records are kept
  queue         str  the queue of all of them
  count         int  number of runs
  entry         str  for each run: its entry
  number, started_at, ended_at, result, task  then for each run: the attempt's number, ms, ms, JSON or empty, the name
                     of its task
OUT
  DONE stale  recorded, now or by an earlier send; then the positions, from 1, of runs whose attempt another
              caller has ended: for those nothing was written
KEEPS I4 I5 I6 I7 I9 I10
]]
local stream, ended, outcomes, worker, retention_ms, queue = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2], ARGV[3]
local count, next_args = tonumber(ARGV[4]), read_from(ARGV, 5)
local runs, next_keys = math.min((#KEYS - 3) / 2, 100), read_from(KEYS, 4)

local reply, gone, written, tasks, done, broken, refused = {'DONE'}, {}, {}, {}, 0, {}, nil
local entries, attempts, records = {next_args(count)}, {next_keys(count)}, {next_keys(count)}
local all = acknowledge_all(stream, entries, attempts, runs)
for i = 1, runs do
  local run, number, started_at, ended_at, result, task = records[i], next_args(5)
  local mine = all or owns_entry(stream, entries[i], attempts[i], worker, ended_at)
  -- pcall: it is acknowledged by now, and a key of the wrong type may neither lose this run nor hold up another one.
  local answer = mine and redis.pcall('HSET', run, 'state', 'succeeded', 'ended_at', ended_at)
  if tonumber(answer) then
    -- A record without a number is that of a first attempt, as those of nearly all runs are.
    if number ~= '0' then redis.call('HSET', run, 'attempt', number) end
    if result ~= '' then redis.call('HSET', run, 'result', result) end
    redis.call('HSET', attempts[i], 'state', 'succeeded', 'number', number, 'worker', worker,
      'started_at', started_at, 'ended_at', ended_at)
    redis.call('PEXPIRE', attempts[i], retention_ms)
    redis.call('PEXPIRE', run, retention_ms)
    done = done + 1
    gone[done], written[done], tasks[done] = entries[i], run, task
  elseif mine then
    refused, broken[#broken + 1] = answer, entries[i]
  elseif mine == false then
    reply[#reply + 1] = i
  end
end
leave_stream(stream, gone, broken, worker, ended, written, outcomes, queue, tasks)
return refused or reply
