--[[
start_attempt: record an attempt that is still going on at a heartbeat. Short attempts are recorded once, at their end.

KEYS
  run         hash  {ns:shard}:run:<run_id>          becomes running
  attempt     hash  {ns:shard}:attempt:<attempt_id>  created as running
  occurrence  hash  {ns:shard}:occurrence:<occ_id>   optional: becomes running
ARGV
  entry       str  the stream entry that is this attempt
  number      int  number of the attempt
  worker      str  the worker that runs it
  started_at  int  ms
OUT
  SHOWN     the records say running
  CANCELED  the same, but the run is to be cancelled: a handler that was not called yet must not be
  STALE     the attempt has ended, or another one has begun: nothing was written
KEEPS I6 I7 I10
]]
local run, attempt, occurrence = KEYS[1], KEYS[2], KEYS[3]
local entry, number, worker, started_at = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local current = redis.call('HMGET', run, 'entry', 'state', 'cancel')
if current[1] ~= entry or (current[2] ~= 'pending' and current[2] ~= 'running') then return 'STALE' end

local pending = occurrence and redis.call('HGET', occurrence, 'state') == 'pending'
redis.call('HSET', attempt, 'state', 'running', 'number', number, 'worker', worker, 'started_at', started_at)
redis.call('HSET', run, 'state', 'running', 'attempt', number)
if pending then redis.call('HSET', occurrence, 'state', 'running') end
return {current[3] and 'CANCELED' or 'SHOWN'}
