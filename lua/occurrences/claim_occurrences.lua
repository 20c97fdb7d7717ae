--[[
claim_occurrences: fire up to 100 due instants of jobs whose case is plain: one task, which starts at once, without a
deadline; the job is not paused, nothing of it was compressed, and nothing stands in its way. The same as
claim_occurrence for each of them, at half the cost; an instant that is not plain is left to that script.

USES read_from enqueue_entry
KEYS
  due      zset    {ns:shard}:due                   job id by the ms of its next due instant; moves on
  streams  set     {ns:shard}:streams               places of the streams that exist
  stream   stream  {ns:shard}:stream:<queue>:<prio>  gets the entries; created with its group when absent
  job      hash    {ns:shard}:job:<job_id>          \ its version, cursor and pause; the cursor moves
  occurrence  hash  {ns:shard}:occurrence:<occ_id>  \ created
  history  zset    {ns:shard}:history:<job_id>      \ occurrence id by due second
  live     zset    {ns:shard}:live:<job_id>         \ gets it
  queued   zset    {ns:shard}:queued:<job_id>       \ read: does another one wait?
  run      hash    {ns:shard}:run:<run_id>          / created; six keys for each
ARGV
  place     str  `<queue>:<prio>` of all of them
  now       int  ms
  reason    str  why they run, for people
  job_id, occ_id, version, expected, instant, next_due, overlap, handler, message  for each, as for
                 claim_occurrence
OUT
  CLAIMED taken left  fired, but for two lists of positions, from 1: instants that have been decided before, and those
                      whose case is not plain, for which nothing was written
KEEPS I1 I2 I8 I9 I10
]]
local due, streams, stream, place, now, reason = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2], ARGV[3]
local instants, next_keys, next_args = math.min((#KEYS - 3) / 6, 100), read_from(KEYS, 4), read_from(ARGV, 4)

-- A key of the wrong type ends the script before its writes, here and below; a job that came before it is taken then.
redis.call('ZCARD', due)
redis.call('SCARD', streams)
redis.call('XLEN', stream)
local taken, left, next_dues = {}, {}, {}
for i = 1, instants do
  local job, occurrence, history, live, queued, run = next_keys(6)
  local job_id, occ_id, version, expected, instant, next_due, overlap, handler, message = next_args(9)
  local known = redis.call('HMGET', job, 'version', 'cursor', 'paused', 'since')
  local current = known[1] == version
  if current and known[2] ~= expected and tonumber(known[2]) >= tonumber(instant) then
    taken[#taken + 1] = i
  elseif not current or known[2] ~= expected or known[3] or known[4] or redis.call('EXISTS', occurrence, run) > 0
    or overlap ~= 'allow' and redis.call('EXISTS', live, queued) > 0 then
    left[#left + 1] = i
  else
    redis.call('ZCARD', history)
    -- The first write is to the key that was not read: of a wrong type, it ends the script here.
    redis.call('ZADD', live, instant, occ_id)
    redis.call('HSET', job, 'cursor', instant)
    next_dues[#next_dues + 1], next_dues[#next_dues + 2] = next_due, job_id
    redis.call('HSET', occurrence, 'job', job_id, 'version', version, 'due', instant, 'state', 'pending',
      'reason', reason, 'claimed_at', now, 'open', '1')
    redis.call('ZADD', history, instant, occ_id)
    redis.call('HSET', run, 'state', 'pending', 'handler', handler, 'place', place, 'enqueued_at', now,
      'occurrence', occ_id, 'entry', enqueue_entry(stream, streams, place, message))
  end
end
if #next_dues > 0 then redis.call('ZADD', due, unpack(next_dues)) end
return {'CLAIMED', taken, left}
