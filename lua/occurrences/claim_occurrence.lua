--[[
claim_occurrence: decide one due instant of a job, once and for all, and move the job's cursor to it.

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
  chores      zset    {ns:shard}:chores                gets the cancelling of what this occurrence replaces, and waits for
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
  run_id, handler, place, message, waits  for each task; waits is how many tasks must succeed before
OUT
  CLAIMED state  decided by this call: the state the occurrence has now
  TAKEN          this instant has been decided before
  BEHIND cursor  instants before this one are not decided yet: plan again from that cursor
  STALE version  the job has another version, or is gone (0)
KEEPS I1 I2 I8 I9 I10
]]
local job, due, occurrence, history, live, queued, delayed, streams, deadlines, chores =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local job_id, occ_id, version, instant, expected, next_due, now =
  ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
local state, reason, overlap, max_queued, history_ms, start_at, deadline, since =
  ARGV[8], ARGV[9], ARGV[10], tonumber(ARGV[11]), ARGV[12], ARGV[13], ARGV[14], ARGV[15]

local held = redis.call('HMGET', job, 'version', 'cursor', 'paused', 'paused_until', 'since')
if held[1] ~= version then return {'STALE', tonumber(held[1] or 0)} end
if expected ~= '' and held[2] ~= expected then
  return tonumber(held[2]) < tonumber(instant) and {'BEHIND', tonumber(held[2])} or {'TAKEN'}
end
local exists = redis.call('EXISTS', occurrence) == 1
local busy = redis.call('ZRANGE', live, 0, 0)[1] or redis.call('ZRANGE', queued, 0, 0)[1]
if expected ~= '' then
  redis.call('HSET', job, 'cursor', instant)
  redis.call('ZADD', due, next_due, job_id)
end
if exists then return {'TAKEN'} end
-- Compressing ends with the next instant that is no part of it: neither one that a calendar excludes nor one by hand.
if state == 'compressed' then redis.call('HSET', job, 'since', since)
elseif held[5] and expected ~= '' and state ~= 'skipped' then redis.call('HDEL', job, 'since') end

local fires = state == 'pending'
if fires and expected ~= '' and held[3] and (held[4] == '0' or instant * 1000 < tonumber(held[4])) then
  state, reason = 'skipped', held[3]
elseif fires and busy and overlap == 'skip' then
  state, reason = 'skipped', 'skipped because ' .. busy .. ' was still running'
elseif fires and busy and overlap == 'queue' and redis.call('ZCARD', queued) >= max_queued then
  state, reason = 'skipped', 'skipped because ' .. busy .. ' was still running and ' .. max_queued .. ' waited: max_queued'
elseif fires and busy and overlap == 'queue' then
  state, reason = 'queued', reason .. '; queued behind ' .. busy
elseif fires and busy and overlap == 'replace' then
  local latest = redis.call('ZRANGE', redis.call('EXISTS', queued) == 1 and queued or live, -1, -1, 'WITHSCORES')
  if tonumber(latest[2]) > tonumber(instant) then
    state, reason = 'skipped', 'skipped because ' .. latest[1] .. ', which was due later, goes first'
  else
    -- In this very step: whoever dies next, some ticker cancels the ones before. Until they have ended it waits.
    state, reason = 'queued', reason .. '; replaces ' .. busy
    redis.call('ZADD', chores, now, 'replace:' .. instant .. ':' .. job_id)
  end
end
redis.call('HSET', occurrence, 'job', job_id, 'version', version, 'due', instant, 'state', state, 'reason', reason,
  'claimed_at', now)
if since ~= '' then redis.call('HSET', occurrence, 'since', since) end
if expected == '' then redis.call('HSET', occurrence, 'origin', 'trigger') end
redis.call('ZADD', history, instant, occ_id)
if state == 'queued' then
  redis.call('ZADD', queued, instant, occ_id)
elseif state ~= 'pending' then
  redis.call('HSET', occurrence, 'ended_at', now)
  redis.call('PEXPIRE', occurrence, history_ms)
end
if state ~= 'pending' then return {'CLAIMED', state} end

local tasks = math.min((#KEYS - 10) / 2, 50)
redis.call('HSET', occurrence, 'open', tasks)
redis.call('ZADD', live, instant, occ_id)
if deadline ~= '' then
  redis.call('HSET', occurrence, 'deadline', deadline)
  redis.call('ZADD', deadlines, deadline, occ_id)
end
for i = 1, tasks do
  local run, stream, at = KEYS[9 + 2 * i], KEYS[10 + 2 * i], 11 + 5 * i
  local run_id, handler, place, message, waits = unpack(ARGV, at, at + 4)
  redis.call('HSET', run, 'state', 'pending', 'handler', handler, 'place', place, 'enqueued_at', now, 'occurrence', occ_id)
  if waits ~= '0' then
    redis.call('HSET', run, 'waits', waits, 'message', message)
  elseif start_at ~= '0' then
    redis.call('HSET', run, 'state', 'scheduled', 'due_at', start_at, 'message', message, 'attempt', 0, 'crashes', 0)
    redis.call('ZADD', delayed, start_at, place .. ':' .. run_id)
  else
    if redis.call('EXISTS', stream) == 0 then redis.call('XGROUP', 'CREATE', stream, 'workers', '0', 'MKSTREAM') end
    redis.call('SADD', streams, place)
    redis.call('HSET', run, 'entry', redis.call('XADD', stream, '*', 'm', message, 'n', 0, 'c', 0))
  end
end
return {'CLAIMED', state}
