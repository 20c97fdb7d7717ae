--[[
claim_occurrence: decide one due instant of a job, once and for all, and move the job's cursor to it.

USES read_from enqueue_entry set_deadline release_tasks check_types check_tasks
KEYS
  job         hash    {ns:shard}:job:<job_id>          its version, cursor and pause; the cursor moves
  due         zset    {ns:shard}:due                   job id by the ms of its next due instant; moves on
  occurrence  hash    {ns:shard}:occurrence:<occ_id>   created
  history     zset    {ns:shard}:history:<job_id>      occurrence id by due second
  live        zset    {ns:shard}:live:<job_id>         occurrences that are not terminal and not queued
  queued      zset    {ns:shard}:queued:<job_id>       occurrences that wait for an earlier one
  delayed     zset    {ns:shard}:delayed               gets the first runs when they start later
  streams     set     {ns:shard}:streams               places of the streams that exist
  deadlines   zset    {ns:shard}:deadlines             gets the occurrence when it has a deadline
  chores      zset    {ns:shard}:chores                gets the chore to cancel the occurrences that this one replaces
  run         hash    {ns:shard}:run:<run_id>          \ one pair
  stream      stream  {ns:shard}:stream:<queue>:<prio> / for each task
ARGV
  job_id, occ_id  str
  version     int  of the definition that the decision was made from
  instant     int  the due instant, Unix seconds
  expected    int  the cursor that the decision was made from; empty for an instant outside the schedule
  next_due    int  ms of the next due instant
  now         int  ms
  state       str  pending to fire, or the terminal state that is recorded
  reason      str  why, for people
  overlap     str  skip, queue, allow or replace
  max_queued  int
  history_ms  int  how long an ended occurrence is kept
  start_at    int  ms from which on the first runs start, 0 for at once
  deadline    int  ms from which on it is timed out; empty for never
  since       int  for a compressed row, and for the run that stands for it: the cursor before the first; else empty
  call        str  of this one trigger, so that its second send is told from another trigger; empty for the schedule
  run_id, handler, place, message, waits  for each task; waits is how many tasks must succeed before
OUT
  CLAIMED state  decided by this call, or an instant outside the schedule by an earlier send of it; the state of the
                 occurrence now
  TAKEN          this instant has been decided before
  BEHIND cursor  instants before this one are not decided yet: plan again from that cursor
  STALE version  the job has another version, or is gone (0)
KEEPS I1 I2 I8 I9 I10
LONG The cursor, the pause, the overlap policy and the runs of the occurrence are one decision. The policy asks what is
     live and queued at the moment of the claim, so a caller cannot decide it before the claim; and two scripts would
     leave a moved cursor without its occurrence when the caller dies between them.
]]
local job, due, occurrence, history, live, queued, delayed, streams, deadlines, chores =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local tasks, next_keys, check_keys =
  math.min((#KEYS - 10) / 2, 50), read_from(KEYS, 11), read_from(KEYS, 11)
local job_id, occ_id, version, instant, expected, next_due, now =
  ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
local state, reason, overlap, max_queued, history_ms, start_at, deadline, since, call =
  ARGV[8], ARGV[9], ARGV[10], tonumber(ARGV[11]), ARGV[12], ARGV[13], ARGV[14], ARGV[15], ARGV[16]
local next_args = read_from(ARGV, 17)

check_types({job}, {due, history, live, queued, delayed, deadlines, chores}, {streams})
check_tasks(tasks, check_keys)
local known = redis.call('HMGET', job, 'version', 'cursor', 'paused', 'paused_until', 'since')
if known[1] ~= version then return {'STALE', tonumber(known[1] or 0)} end
if expected ~= '' and known[2] ~= expected then
  return tonumber(known[2]) < tonumber(instant) and {'BEHIND', tonumber(known[2])} or {'TAKEN'}
end
local exists = redis.call('EXISTS', occurrence) == 1
local busy = redis.call('ZRANGE', live, 0, 0)[1] or redis.call('ZRANGE', queued, 0, 0)[1]
if expected ~= '' then
  redis.call('HSET', job, 'cursor', instant)
  redis.call('ZADD', due, next_due, job_id)
end
if exists then
  -- A trigger that was sent twice must not look like another one: its caller would fire the next free second as well.
  local made = call ~= '' and redis.call('HMGET', occurrence, 'call', 'state')
  return made and made[1] == call and {'CLAIMED', made[2]} or {'TAKEN'}
end
-- A compressed row ends with the next instant that is no part of it: an instant that a calendar excludes does not end
-- it, and neither does an instant that was asked for by hand.
if state == 'compressed' then redis.call('HSET', job, 'since', since)
elseif known[5] and expected ~= '' and state ~= 'skipped' then redis.call('HDEL', job, 'since') end

local fires = state == 'pending'
if fires and expected ~= '' and known[3] and (known[4] == '0' or instant * 1000 < tonumber(known[4])) then
  state, reason = 'skipped', known[3]
elseif fires and busy and overlap == 'skip' then
  state, reason = 'skipped', 'skipped because ' .. busy .. ' was still running'
elseif fires and busy and overlap == 'queue' and redis.call('ZCARD', queued) >= max_queued then
  state = 'skipped'
  reason = 'skipped because ' .. busy .. ' was still running and ' .. max_queued .. ' waited: max_queued'
elseif fires and busy and overlap == 'queue' then
  state, reason = 'queued', reason .. '; queued behind ' .. busy
elseif fires and busy and overlap == 'replace' then
  local latest = redis.call('ZRANGE', redis.call('EXISTS', queued) == 1 and queued or live, -1, -1, 'WITHSCORES')
  if tonumber(latest[2]) > tonumber(instant) then
    state, reason = 'skipped', 'skipped because ' .. latest[1] .. ', which was due later, goes first'
  else
    -- In the same step as the claim: whichever process dies next, some ticker finds the chore and cancels the
    -- occurrences before this one, which waits in the queue until they have ended.
    state, reason = 'queued', reason .. '; replaces ' .. busy
    redis.call('ZADD', chores, now, 'replace:' .. instant .. ':' .. job_id)
  end
end
redis.call('HSET', occurrence, 'job', job_id, 'version', version, 'due', instant, 'state', state, 'reason', reason,
  'claimed_at', now)
if since ~= '' then redis.call('HSET', occurrence, 'since', since) end
if expected == '' then redis.call('HSET', occurrence, 'origin', 'trigger', 'call', call) end
redis.call('ZADD', history, instant, occ_id)
if state == 'queued' then
  redis.call('ZADD', queued, instant, occ_id)
elseif state ~= 'pending' then
  redis.call('HSET', occurrence, 'ended_at', now)
  redis.call('PEXPIRE', occurrence, history_ms)
end
if state ~= 'pending' then return {'CLAIMED', state} end

redis.call('HSET', occurrence, 'open', tasks)
redis.call('ZADD', live, instant, occ_id)
set_deadline(occurrence, deadlines, occ_id, deadline)
release_tasks(tasks, next_keys, next_args, occ_id, now, streams, delayed, start_at)
return {'CLAIMED', state}
