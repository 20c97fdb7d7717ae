--[[
request_cancel: ask the worker that has a run in flight to cancel it; a retry is refused from then on.

USES check_all_types
KEYS
  run      hash  {ns:shard}:run:<run_id>  is marked, with the reason
  cancels  zset  {ns:shard}:cancels       run id by ms of the request; workers read new requests with each
                                          beat; requests that are an hour old are removed
ARGV
  run_id  str
  entry   str  the stream entry that the caller saw in flight
  now     int  ms
  reason  str  why, for people
OUT
  REQUESTED  the mark is there, set now or before
  STALE      that attempt has ended: look again; nothing was written
KEEPS I7 I9 I10
]]
local run, cancels = KEYS[1], KEYS[2]
local run_id, entry, now, reason = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

check_all_types(KEYS)
local current = redis.call('HMGET', run, 'entry', 'state')
if current[1] ~= entry or (current[2] ~= 'pending' and current[2] ~= 'running') then return {'STALE'} end
-- A removal comes first: a script that has begun with one may go on writing at the memory limit.
redis.call('ZREMRANGEBYSCORE', cancels, '-inf', now - 3600000)
redis.call('HSET', run, 'cancel', now, 'cancel_reason', reason)
redis.call('ZADD', cancels, now, run_id)
redis.call('PEXPIRE', cancels, 3600000)
return {'REQUESTED'}
