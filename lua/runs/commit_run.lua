--[[
commit_run: end a run that belongs to no occurrence, and with it the attempt that ended it.

USES take_from_source record_end list_ended add_outcomes check_types
KEYS
  stream   stream  {ns:shard}:stream:<queue>:<prio>  loses the entry
  run      hash    {ns:shard}:run:<run_id>           becomes terminal and gets its expiry
  attempt  hash    {ns:shard}:attempt:<attempt_id>   written once, with its expiry; not for a run that never began
  delayed  zset    {ns:shard}:delayed                loses the run when it is taken from there
  dead     zset    {ns:shard}:dead                   gets the run when `buried` is 1, by the ms its records go at
  outcomes hash    {ns:shard}:outcomes:<day>         counts the run
  ended    list    {ns:shard}:ended:<state>          lists the run
  unique   string  {ns:shard}:unique:<key>           optional: deleted when this run holds it
ARGV
  source         str  attempt (an entry in flight), fetched (one that has not begun), stream (an entry that nobody
                      fetched), delayed
  entry          str  the stream entry
  run_id         str
  place          str  `<queue>:<prio>`
  state          str  terminal state of the run
  attempt_state  str  terminal state of the attempt; of a run that never began: its own
  of             str  `<queue> <task>`, for the counts
  ended_at       int  ms
  retention_ms   int  how long the records are kept
  buried         str  1: the run is out of attempts and becomes a dead letter; 0: it does not
  split          int  number of arguments that follow for the attempt's hash; the rest is for the run's
  field          str  \ pairs, first for the attempt
  value          str  / and then for the run
OUT
  DONE    recorded, now or by an earlier send of this very call
  STALE   another caller has ended this attempt: nothing was written
KEEPS I4 I5 I6 I7 I9 I10
]]
local stream, run, attempt, delayed = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local dead, outcomes, ended, unique = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local source, entry, run_id, place, state = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local attempt_state, of, ended_at, retention_ms = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local buried, split = ARGV[10], tonumber(ARGV[11])

local began = source == 'attempt' and attempt
check_types({run, began or run}, {delayed, dead})
if unique then redis.call('STRLEN', unique) end
if take_from_source(source, stream, entry, run, delayed, place, run_id) == 0 then
  local before = redis.call('HMGET', began or run, 'state', 'ended_at')
  return before[1] == attempt_state and before[2] == ended_at and 'DONE' or 'STALE'
end
record_end(began, run, dead, run_id, state, ended_at, retention_ms, buried, split, 12)
list_ended(ended, {run_id})
add_outcomes(outcomes, state .. ' ', {of})
if unique and redis.call('GET', unique) == run_id then redis.call('DEL', unique) end
return 'DONE'
