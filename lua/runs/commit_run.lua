--[[
commit_run: end a run that belongs to no occurrence, and with it the attempt that ended it.

<<<<<<< HEAD
USES take_from_source record_end list_ended check_types
=======
USES take_from_source record_end add_outcomes
>>>>>>> 479ce7e5 (Statistics: what waits, runs and has ended, in one answer and counted where ends are recorded)
KEYS
  stream   stream  {ns:shard}:stream:<queue>:<prio>  loses the entry
  run      hash    {ns:shard}:run:<run_id>           becomes terminal and gets its expiry
  attempt  hash    {ns:shard}:attempt:<attempt_id>   written once, with its expiry; not for a run that never began
  delayed  zset    {ns:shard}:delayed                loses the run when it is taken from there
  dead     zset    {ns:shard}:dead                   gets the run when `buried` is 1, by the ms its records go at
<<<<<<< HEAD
  ended    list    {ns:shard}:ended:<state>          lists the run
=======
  outcomes hash    {ns:shard}:outcomes:<day>         counts the run
>>>>>>> 479ce7e5 (Statistics: what waits, runs and has ended, in one answer and counted where ends are recorded)
  unique   string  {ns:shard}:unique:<key>           optional: deleted when this run holds it
ARGV
  source         str  attempt (an entry in flight), stream (an entry that nobody fetched), delayed
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
<<<<<<< HEAD
local stream, run, attempt, delayed = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local dead, ended, unique = KEYS[5], KEYS[6], KEYS[7]
=======
local stream, run, attempt, delayed, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local outcomes, unique = KEYS[6], KEYS[7]
>>>>>>> 479ce7e5 (Statistics: what waits, runs and has ended, in one answer and counted where ends are recorded)
local source, entry, run_id, place, state = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local attempt_state, of, ended_at, retention_ms = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local buried, split = ARGV[10], tonumber(ARGV[11])

local began = source == 'attempt' and attempt
<<<<<<< HEAD
check_types({run, began or run}, {delayed, dead})
if unique then redis.call('STRLEN', unique) end
=======
-- A key of the wrong type ends the script here, while the entry is still there for the next send.
if began then redis.call('HLEN', attempt) end
redis.call('HLEN', run)
redis.call('HLEN', outcomes)
>>>>>>> 479ce7e5 (Statistics: what waits, runs and has ended, in one answer and counted where ends are recorded)
if take_from_source(source, stream, entry, run, delayed, place, run_id) == 0 then
  local before = redis.call('HMGET', began or run, 'state', 'ended_at')
  return before[1] == attempt_state and before[2] == ended_at and 'DONE' or 'STALE'
end
<<<<<<< HEAD
record_end(began, run, dead, run_id, state, ended_at, retention_ms, buried, split, 11)
list_ended(ended, {run_id})
=======
record_end(began, run, dead, run_id, state, ended_at, retention_ms, buried, split, 12)
add_outcomes(outcomes, state .. ' ' .. of, 1)
>>>>>>> 479ce7e5 (Statistics: what waits, runs and has ended, in one answer and counted where ends are recorded)
if unique and redis.call('GET', unique) == run_id then redis.call('DEL', unique) end
return 'DONE'
