--[[
commit_members: end up to 100 runs of one stream and one group that succeeded and change nothing but their records and
the count of the group; the last one releases the reducer, once. The same as commit_run and count_member for each of
them, at a third of the cost.

USES read_from owns_entry list_ended add_outcomes check_types acknowledge_all record_success leave_stream enqueue_entry
KEYS
  stream   stream  {ns:shard}:stream:<queue>:<prio>  loses the entries
  ended    list    {ns:shard}:ended:<state>          lists the runs
  outcomes hash    {ns:shard}:outcomes:<day>         counts the runs
  group    hash    {ns:shard}:group:<group_id>       counts
  results  hash    {ns:shard}:results:<group_id>     gets the results by index; expires
  reducer  hash    {ns:shard}:run:<group_id>         gets its entry when these were the last runs
  next_stream stream {ns:shard}:stream:<queue>:<prio>  of the reducer
  streams  set     {ns:shard}:streams                places of the streams that exist
  attempt  hash    {ns:shard}:attempt:<attempt_id>   for each run: written once, and gets its expiry
  run      hash    {ns:shard}:run:<run_id>           then for each run: becomes succeeded, and gets its expiry
ARGV
  worker        str  the worker that ran them
  retention_ms  int  how long the records are kept
  queue         str  the queue of all of them
  place         str  `<queue>:<prio>` of the reducer
  hold_ms       int  how long the group is kept when nothing happens to it
  count         int  number of runs
  entry         str  for each run: its entry
  number, started_at, ended_at, result, task, index  then for each run: the attempt's number, ms, ms, JSON or empty, the
                     name of its task, its index in the group
OUT
  DONE stale  recorded, now or by an earlier send; then the positions, from 1, of runs whose attempt another
              caller has ended: for those nothing was written
KEEPS I3 I4 I5 I6 I7 I9 I10
]]
local stream, ended, outcomes, group, results, reducer = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local next_stream, streams = KEYS[7], KEYS[8]
local worker, retention_ms, queue, place, hold_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local count, next_args = tonumber(ARGV[6]), read_from(ARGV, 7)
local runs, next_keys = math.min((#KEYS - 8) / 2, 100), read_from(KEYS, 9)

-- A key of the wrong type ends the script here, while the entries are still there for the next send.
check_types({group, results, reducer}, {}, {streams}, {}, {next_stream})
local reply, gone, written, tasks, done, broken, refused = {'DONE'}, {}, {}, {}, 0, {}, nil
local entries, attempts, records = {next_args(count)}, {next_keys(count)}, {next_keys(count)}
local all = acknowledge_all(stream, entries, attempts, runs)
for i = 1, runs do
  local run, number, started_at, ended_at, result, task, index = records[i], next_args(6)
  local mine = all or owns_entry(stream, entries[i], attempts[i], worker, ended_at)
  local failed = mine and record_success(run, attempts[i], worker, retention_ms, number, started_at, ended_at, result)
  if failed then
    refused, broken[#broken + 1] = failed, entries[i]
  elseif mine then
    done = done + 1
    gone[done], written[done], tasks[done] = entries[i], run, task
    -- Counted at once: an entry is acknowledged once, so no mark is needed by which a second send would be known.
    redis.call('HSET', results, index, result ~= '' and result or 'null')
  elseif mine == false then
    reply[#reply + 1] = i
  end
end
leave_stream(stream, gone, broken, worker, ended, written, outcomes, queue, tasks)
if done > 0 then
  redis.call('HINCRBY', group, 'done', done)
  redis.call('PEXPIRE', results, hold_ms)
  redis.call('PEXPIRE', group, hold_ms)
end
local counted = redis.call('HMGET', group, 'done', 'total')
local message = counted[2] and counted[1] == counted[2] and redis.call('HGET', reducer, 'message')
if message then
  redis.call('HSET', reducer, 'entry', enqueue_entry(next_stream, streams, place, message))
  redis.call('HDEL', reducer, 'message', 'waits')
end
return refused or reply
