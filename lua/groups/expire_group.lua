--[[
expire_group: let the results of a group expire with the record of its reducer, which has ended. Executed with the
commit that ends the reducer, as one atomic step.

KEYS
  reducer  hash  {ns:shard}:run:<group_id>      read: has it ended?
  group    hash  {ns:shard}:group:<group_id>    gets its last expiry
  results  hash  {ns:shard}:results:<group_id>  gets its last expiry
ARGV
  ended_at      int  ms, as the commit has written it
  retention_ms  int  how long the reducer's record is kept
OUT
  CLOSED  now or before
  OPEN    the reducer has not ended so: nothing was written
KEEPS I7 I9
]]
local reducer, group, results = KEYS[1], KEYS[2], KEYS[3]
local ended_at, retention_ms = ARGV[1], ARGV[2]

if redis.call('HGET', reducer, 'ended_at') ~= ended_at then return {'OPEN'} end
redis.call('PEXPIRE', group, retention_ms)
redis.call('PEXPIRE', results, retention_ms)
return {'CLOSED'}
