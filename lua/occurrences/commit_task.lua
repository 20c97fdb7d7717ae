--[[
commit_task: end a run that is a task of an occurrence, and move the occurrence on: release or skip the tasks
that waited for it, end the occurrence with its last run, ask for the next one in the queue to be started.

USES read_from take_from_source record_end list_ended add_outcomes enqueue_entry check_types check_tasks
KEYS
  stream      stream  {ns:shard}:stream:<queue>:<prio>  loses the entry
  run         hash    {ns:shard}:run:<run_id>           becomes terminal and gets its expiry
  attempt     hash    {ns:shard}:attempt:<attempt_id>   written once; not for a run that never began
  delayed     zset    {ns:shard}:delayed                loses the run when it is taken from there
  dead        zset    {ns:shard}:dead                   gets the run when `buried` is 1, by the ms its records go at
  outcomes    hash    {ns:shard}:outcomes:<day>         counts the run
  ended_list  list    {ns:shard}:ended:<state>          lists the run
  streams     set     {ns:shard}:streams                places of the streams that exist
  occurrence  hash    {ns:shard}:occurrence:<occ_id>    counts, and ends with its last run
  live        zset    {ns:shard}:live:<job_id>          loses the occurrence at its end
  queued      zset    {ns:shard}:queued:<job_id>        read: does another occurrence wait?
  starts      set     {ns:shard}:starts                 gets the job when another one waits
  wake        channel {ns:shard}:wake                   gets a message then
  deadlines   zset    {ns:shard}:deadlines              loses the occurrence at its end when it has a deadline
  next_run    hash    \ for each task that waits for this one: its run and
  next_stream stream  / its stream after a success, its run twice after a failure
ARGV
  source, entry, run_id, place, state, attempt_state, of, ended_at, retention_ms, buried, split
              as for commit_run; source may also be waiting: a run that no other has released yet
  verdict     str  the verdict that this end gives the occurrence: empty, or failed, failed_stale, canceled, timed_out
  reason      str  the verdict for people
  job_id      str
  occ_id      str
  history_ms  int  how long the occurrence is kept
  halt        str  not empty: runs of this occurrence that fail from now on are not tried again
  following   int  number of tasks that wait for this one
  next_place  str  their places, one for each
  field       str  \ pairs, first for the attempt
  value       str  / and then for the run
OUT
  DONE open   recorded, now or by an earlier send; how many runs of the occurrence are not terminal
  STALE       another caller has ended this attempt: nothing was written
KEEPS I3 I4 I5 I6 I7 I8 I9 I10
LONG The end of the task, the tasks behind it and the end of the occurrence are one step: with two scripts a caller that
     dies between them would leave an occurrence that nothing moves on.
]]
local stream, run, attempt, delayed, dead, outcomes = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local ended_list, streams, occurrence, live, queued, starts = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12]
local wake, deadlines, next_keys, check_keys = KEYS[13], KEYS[14], read_from(KEYS, 15), read_from(KEYS, 15)
local source, entry, run_id, place, state = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local attempt_state, of, ended_at, retention_ms = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local buried, split = ARGV[10], tonumber(ARGV[11])
local verdict, reason, job_id, occ_id, history_ms, halt, following =
  ARGV[12], ARGV[13], ARGV[14], ARGV[15], ARGV[16], ARGV[17], tonumber(ARGV[18])
local next_places = read_from(ARGV, 19)

local began = source == 'attempt' and attempt
check_types({run, began or run, occurrence}, {delayed, dead, live, deadlines}, {streams, starts})
check_tasks(math.min(following, 50), check_keys)
-- What the deadline of the occurrence ends has timed out, wherever it was.
local overdue = state == 'canceled' and redis.call('HGET', occurrence, 'halt') == 'timed_out'
if overdue and not began then attempt_state = 'timed_out' end
if take_from_source(source, stream, entry, run, delayed, place, run_id) == 0 then
  local before = redis.call('HMGET', began or run, 'state', 'ended_at')
  if before[1] ~= attempt_state or before[2] ~= ended_at then return 'STALE' end
  return {'DONE', tonumber(redis.call('HGET', occurrence, 'open') or 0)}
end
record_end(began, run, dead, run_id, state, ended_at, retention_ms, buried, split, 19 + following, overdue and occurrence)
list_ended(ended_list, {run_id})
add_outcomes(outcomes, (overdue and 'timed_out' or state) .. ' ', {of})

local ended = 1
for _ = 1, math.min(following, 50) do
  local next_place, next_run, next_stream = next_places(1), next_keys(2)
  local kept = redis.call('HMGET', next_run, 'state', 'waits', 'message')
  local waiting = kept[1] == 'pending' and kept[2]
  if waiting and verdict ~= '' then
    redis.call('HSET', next_run, 'state', 'skipped', 'ended_at', ended_at)
    redis.call('PEXPIRE', next_run, retention_ms)
    ended = ended + 1
  elseif waiting and redis.call('HINCRBY', next_run, 'waits', -1) == 0 then
    redis.call('HSET', next_run, 'entry', enqueue_entry(next_stream, streams, next_place, kept[3]))
    redis.call('HDEL', next_run, 'message', 'waits')
  end
end

if verdict ~= '' and redis.call('HSETNX', occurrence, 'verdict', verdict) == 1 then
  redis.call('HSET', occurrence, 'error', reason)
end
if halt ~= '' then redis.call('HSETNX', occurrence, 'halt', halt) end
local open = redis.call('HINCRBY', occurrence, 'open', -ended)
if open > 0 then return {'DONE', open} end
local kept = redis.call('HMGET', occurrence, 'verdict', 'deadline')
redis.call('HSET', occurrence, 'state', kept[1] or 'completed', 'ended_at', ended_at)
if kept[2] then redis.call('ZREM', deadlines, occ_id) end
redis.call('PEXPIRE', occurrence, history_ms)
redis.call('ZREM', live, occ_id)
if redis.call('EXISTS', queued) == 1 and redis.call('SADD', starts, job_id) == 1 then
  redis.call('PUBLISH', wake, 'start')
end
return {'DONE', 0}
