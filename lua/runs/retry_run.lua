--[[
retry_run: end an attempt whose run goes on: after a delay (retry), or at once (its worker died). The same script hands
back an entry that was fetched and never started: then there is no attempt to record.

USES read_from delay_member
KEYS
  stream      stream  {ns:shard}:stream:<queue>:<prio>  loses the entry; gets the next one when there is no delay
  run         hash    {ns:shard}:run:<run_id>           scheduled or pending again
  attempt     hash    {ns:shard}:attempt:<attempt_id>   written once, with its expiry
  delayed     zset    {ns:shard}:delayed                gets the run when there is a delay
  wake        channel {ns:shard}:wake                   gets a message when nothing is due earlier
  occurrence  hash    {ns:shard}:occurrence:<occ_id>    optional, or the run's group: read, was it halted meanwhile?
ARGV
  entry          str  the stream entry
  run_id         str
  place          str  `<queue>:<prio>`
  attempt_state  str  terminal state of the attempt; empty when it was never started
  worker         str  the one that ended it
  message        str  the run's message
  next_number    int  number of the next attempt
  crashes        int  lost attempts so far
  due_at         int  ms from which on it may start, 0 for at once
  keep_ms        int  how long the attempt's record is kept
  note           str  why it waits, for people
  field          str  \ pairs for the attempt
  value          str  /
OUT
  DONE      recorded, now or by an earlier send of this very call
  STALE     another caller has ended this attempt, or an earlier send has handed it back: nothing was written
  CANCELED  the run is to be cancelled: end it so; nothing was written
KEEPS I3 I4 I5 I6 I7 I9
]]
local stream, run, attempt, delayed, wake, occurrence = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local entry, run_id, place, attempt_state, worker, message = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local next_number, crashes, due_at, keep_ms, note = ARGV[7], ARGV[8], tonumber(ARGV[9]), ARGV[10], ARGV[11]
local next_fields = read_from(ARGV, 12)

if attempt_state ~= '' then redis.call('HLEN', attempt) end
redis.call('ZCARD', delayed)
local known = redis.call('HMGET', run, 'entry', 'cancel')
if known[1] == entry then
  local halted = occurrence and redis.call('HEXISTS', occurrence, 'halt') == 1
  if known[2] or halted then return 'CANCELED' end
end
if redis.call('XACK', stream, 'workers', entry) == 0 then
  local before = redis.call('HMGET', attempt, 'state', 'worker')
  return before[1] == attempt_state and before[2] == worker and 'DONE' or 'STALE'
end

redis.call('XDEL', stream, entry)
if attempt_state ~= '' then
  redis.call('HSET', attempt, next_fields())
  redis.call('PEXPIRE', attempt, keep_ms)
end
if due_at == 0 then
  -- The stream exists: the entry that was acknowledged just now was in it.
  local again = redis.call('XADD', stream, '*', 'm', message, 'n', next_number, 'c', crashes)
  redis.call('HSET', run, 'state', 'pending', 'entry', again, 'attempt', next_number)
  if crashes ~= '0' then redis.call('HSET', run, 'crashes', crashes) end
  return 'DONE'
end
-- The run has no entry from here on: a worker that still holds the old one, although its lease is over, is refused.
redis.call('HSET', run, 'state', 'scheduled', 'entry', '', 'message', message, 'attempt', next_number,
  'crashes', crashes, 'due_at', due_at, 'note', note)
delay_member(delayed, wake, place .. ':' .. run_id, due_at)
return 'DONE'
