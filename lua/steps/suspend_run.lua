--[[
suspend_run: end an attempt whose handler sleeps or waits. The run has no attempt from here on; it goes on at its time,
or before it when the signal comes that it waits for, or the last run of the group ends. What has come meanwhile sends
the run to its stream at once.

USES read_from delay_member find_signal check_types
KEYS
  stream      stream   {ns:shard}:stream:<queue>:<prio>  loses the entry; gets the next one when the signal has come
  run         hash     {ns:shard}:run:<run_id>           suspended or scheduled, or pending again
  attempt     hash     {ns:shard}:attempt:<attempt_id>   written once, with its expiry
  delayed     zset     {ns:shard}:delayed                gets the run
  wake        channel  {ns:shard}:wake                   gets a message when nothing is due earlier
  steps       hash     {ns:shard}:steps:<run_id>         gets the records
  questions   zset     {ns:shard}:questions              gets the run when it asks people, by the ms of its question
  group       hash     {ns:shard}:group:<group_id>       the group that it waits for: gets the number of its runs
  occurrence  hash     {ns:shard}:occurrence:<occ_id>    optional, or the run's group: read, was it halted meanwhile?
ARGV
  entry        str  the stream entry
  run_id       str
  place        str  `<queue>:<prio>`
  state        str  of the run: suspended, or scheduled when it was put off
  worker       str  the one that ends the attempt
  message      str  the run's message from here on
  next_number  int  number of the next attempt
  crashes      int  lost attempts so far
  ended_at     int  ms
  due_at       int  ms at which it goes on
  keep_ms      int  how long the attempt's record is kept
  note         str  why it waits, for people; empty when it sleeps
  wait         str  name of the signal that it waits for; empty for none; `:` and its id for a group
  members      int  how many runs that group has, 0 without one
  question     str  JSON of what it asks people, or of the type that it expects; empty for nothing
  asks         str  1: the question is for people
  snoozes      int  how often it has been put off
  count        int  how many records of steps follow, at most 100
  name         str  \ of each step,
  record       str  / and of each: JSON
  field        str  \ pairs for the attempt
  value        str  /
OUT
  DONE      recorded, now or by an earlier send of this very call
  STALE     another caller has ended this attempt: nothing was written
  CANCELED  the run is to be cancelled: end it so; nothing was written
KEEPS I3 I4 I5 I6 I7 I9
]]
local stream, run, attempt, delayed, wake, steps = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local questions, group, occurrence = KEYS[7], KEYS[8], KEYS[9]
local entry, run_id, place, state, worker, message = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local next_number, crashes, ended_at, due_at, keep_ms = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local note, wait, members, question = ARGV[12], ARGV[13], tonumber(ARGV[14]), ARGV[15]
local asks, snoozes, count, next_args = ARGV[16], ARGV[17], ARGV[18], read_from(ARGV, 19)

local records = {next_args(2 * math.min(tonumber(count), 100))}

local known = redis.call('HMGET', run, 'entry', 'cancel', 'signals')
if known[1] == entry then
  local halted = occurrence and redis.call('HEXISTS', occurrence, 'halt') == 1
  if known[2] or halted then return 'CANCELED' end
end
-- A key of the wrong type ends the script here, while the entry is still there for the next send.
check_types({steps, attempt}, {delayed, questions})
local ended = members > 0 and tonumber(redis.call('HGET', group, 'done') or 0) or 0
if redis.call('XACK', stream, 'workers', entry) == 0 then
  local before = redis.call('HMGET', attempt, 'state', 'worker')
  return before[1] == 'suspended' and before[2] == worker and 'DONE' or 'STALE'
end

redis.call('XDEL', stream, entry)
redis.call('HSET', attempt, next_args())
redis.call('PEXPIRE', attempt, keep_ms)
if #records > 0 then redis.call('HSET', steps, unpack(records)) end
if snoozes ~= '0' then redis.call('HSET', run, 'snoozes', snoozes) end
if find_signal(known[3], wait) or (members > 0 and ended >= members) then
  -- The stream exists: the entry that was acknowledged just now was in it.
  local again = redis.call('XADD', stream, '*', 'm', message, 'n', next_number, 'c', crashes)
  redis.call('HSET', run, 'state', 'pending', 'entry', again, 'attempt', next_number, 'crashes', crashes)
  return 'DONE'
end
-- Removed first, and no word more than needed: eight fields or more take half as much memory again.
redis.call('HDEL', run, 'entry')
redis.call('HSET', run, 'state', state, 'message', message, 'attempt', next_number, 'crashes', crashes)
-- Of a suspended run the delayed set alone has the time: the field would be its longest but for the message.
if state ~= 'suspended' then redis.call('HSET', run, 'due_at', due_at) end
if note ~= '' then redis.call('HSET', run, 'note', note) end
if wait ~= '' then redis.call('HSET', run, 'wait', wait) end
if members > 0 and redis.call('EXISTS', group) == 1 then redis.call('HSET', group, 'total', members) end
if question ~= '' then redis.call('HSET', run, 'question', question) end
if asks == '1' then redis.call('ZADD', questions, ended_at, run_id) end
delay_member(delayed, wake, place .. ':' .. run_id, due_at)
return 'DONE'
