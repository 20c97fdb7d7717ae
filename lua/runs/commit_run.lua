--[[
commit_run: end a run that belongs to no occurrence, and with it the attempt that ended it.
The first write removes the entry: it is the fence, and it lets work be recorded at the memory limit.

KEYS
  stream   stream  {ns:shard}:stream:<queue>:<prio>  loses the entry
  run      hash    {ns:shard}:run:<run_id>           becomes terminal and gets its expiry
  attempt  hash    {ns:shard}:attempt:<attempt_id>   written once, with its expiry; not for a run that never began
  delayed  zset    {ns:shard}:delayed                loses the run when it is taken from there
  dead     zset    {ns:shard}:dead                   gets the run when it is dead, by the ms its records go at
  unique   string  {ns:shard}:unique:<key>           optional: released when it is this run's
ARGV
  source         str  attempt (an entry in flight), stream (one that nobody took), delayed
  entry          str  the stream entry
  run_id         str
  place          str  `<queue>:<prio>`
  state          str  terminal state of the run
  attempt_state  str  terminal state of the attempt; of a run that never began: its own
  ended_at       int  ms
  retention_ms   int  how long the records are kept
  split          int  number of arguments that follow for the attempt's hash; the rest is for the run's
  field          str  \ pairs, first for the attempt
  value          str  / and then for the run
OUT
  DONE    recorded, now or by an earlier send of this very call
  STALE   somebody else has ended this attempt: nothing was written
KEEPS I4 I5 I6 I7 I9 I10
]]
local stream, run, attempt, delayed, dead, unique = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local source, entry, run_id, place, state = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local attempt_state, ended_at, retention_ms, split = ARGV[6], ARGV[7], ARGV[8], ARGV[9]

local mine = 0
if source == 'attempt' then
  mine = redis.call('XACK', stream, 'workers', entry)
elseif source == 'delayed' then
  mine = redis.call('ZREM', delayed, place .. ':' .. run_id)
elseif redis.call('EXISTS', stream) == 1 and #redis.call('XPENDING', stream, 'workers', entry, entry, 1) == 0 then
  mine = redis.call('XDEL', stream, entry)
end
if mine == 0 then
  local before = redis.call('HMGET', source == 'attempt' and attempt or run, 'state', 'ended_at')
  return before[1] == attempt_state and before[2] == ended_at and 'DONE' or 'STALE'
end

if source == 'attempt' then
  redis.call('XDEL', stream, entry)
  redis.call('HSET', attempt, unpack(ARGV, 10, 9 + split))
  redis.call('PEXPIRE', attempt, retention_ms)
end
redis.call('HSET', run, unpack(ARGV, 10 + split))
redis.call('PEXPIRE', run, retention_ms)
if state == 'dead' then redis.call('ZADD', dead, ended_at + retention_ms, run_id) end
if unique and redis.call('GET', unique) == run_id then redis.call('DEL', unique) end
return 'DONE'
