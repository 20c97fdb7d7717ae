--[[
commit_members: end up to 100 runs of one stream and one group that succeeded and change nothing but their records and
the count of the group; the last one releases the reducer, once. The same as commit_run and count_member for each of
them, at a third of the cost.

USES read_from list_ended add_outcomes enqueue_entry
KEYS
  stream   stream  {ns:shard}:stream:<queue>:<prio>  loses the entries
  ended    list    {ns:shard}:ended:<state>          lists the runs
  outcomes hash    {ns:shard}:outcomes:<day>         counts the runs
  group    hash    {ns:shard}:group:<group_id>       counts
  results  hash    {ns:shard}:results:<group_id>     gets the results by index; expires
  reducer  hash    {ns:shard}:run:<group_id>         gets its entry when these were the last runs
  next_stream stream {ns:shard}:stream:<queue>:<prio>  of the reducer
  streams  set     {ns:shard}:streams                places of the streams that exist
  run      hash    {ns:shard}:run:<run_id>           \ one pair for each run: becomes succeeded;
  attempt  hash    {ns:shard}:attempt:<attempt_id>   / written once; both get their expiry
ARGV
  worker        str  the worker that ran them
  retention_ms  int  how long the records are kept
  queue         str  the queue of all of them
  place         str  `<queue>:<prio>` of the reducer
  hold_ms       int  how long the group is kept when nothing happens to it
  entry, number, started_at, ended_at, result, task, index  for each run: its entry, the attempt's number, ms, ms, JSON
                     or empty, the name of its task, its index in the group
OUT
  DONE stale  recorded, now or by an earlier send; then the positions, from 1, of runs whose attempt another
              caller has ended: for those nothing was written
KEEPS I3 I4 I5 I6 I7 I9 I10
LONG a loop that ends runs, and the count of their group: half of the one would be in the other's way in a fragment
]]
local stream, ended, outcomes, group, results, reducer = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local next_stream, streams = KEYS[7], KEYS[8]
local worker, retention_ms, queue, place, hold_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local runs, next_keys, next_args = math.min((#KEYS - 8) / 2, 100), read_from(KEYS, 9), read_from(ARGV, 6)

-- A key of the wrong type ends the script here, while the entries are still there for the next send.
redis.call('HLEN', group)
redis.call('HLEN', results)
redis.call('HLEN', reducer)
redis.call('XLEN', next_stream)
redis.call('SCARD', streams)

local reply, gone, listed, tasks, id_at = {'DONE'}, {}, {}, {}, nil
for i = 1, runs do
  local run, attempt = next_keys(2)
  local entry, number, started_at, ended_at, result, task, index = next_args(7)
  redis.call('HLEN', attempt)
  redis.call('HLEN', run)
  if redis.call('XACK', stream, 'workers', entry) == 1 then
    gone[#gone + 1], tasks[#tasks + 1] = entry, task
    redis.call('HSET', attempt, 'state', 'succeeded', 'number', number, 'worker', worker,
      'started_at', started_at, 'ended_at', ended_at)
    redis.call('HSET', run, 'state', 'succeeded', 'attempt', number, 'ended_at', ended_at)
    if result ~= '' then redis.call('HSET', run, 'result', result) end
    redis.call('PEXPIRE', attempt, retention_ms)
    redis.call('PEXPIRE', run, retention_ms)
    -- Counted at once: an entry is acknowledged once, so no mark is needed by which a second send would be known, and
    -- a later run of this call that is refused leaves no other one uncounted.
    redis.call('HSET', results, index, result ~= '' and result or 'null')
    redis.call('HINCRBY', group, 'done', 1)
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
if #listed > 0 then
  redis.call('PEXPIRE', results, hold_ms)
  redis.call('PEXPIRE', group, hold_ms)
end
local count = redis.call('HMGET', group, 'done', 'total')
local message = count[2] and count[1] == count[2] and redis.call('HGET', reducer, 'message')
if message then
  redis.call('HSET', reducer, 'entry', enqueue_entry(next_stream, streams, place, message, 0, 0))
  redis.call('HDEL', reducer, 'message', 'waits')
end
return reply
