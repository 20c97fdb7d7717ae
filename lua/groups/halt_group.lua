--[[
halt_group: mark a group, so that its runs that have not ended are cancelled: runs that wait when their turn comes, runs
that are executed with the next beat of their worker. None is tried again, and the reducer is not called.

KEYS
  group  hash  {ns:shard}:group:<group_id>  is marked
ARGV
  reason  str  why, for people
OUT
  HALTED added  it is marked, now or before; how many children it has
  UNKNOWN       there is no such group: nothing was written
KEEPS I3 I9
]]
local group = KEYS[1]
local reason = ARGV[1]

local added = redis.call('HGET', group, 'added')
if not added then return {'UNKNOWN'} end
-- A removal comes first: a script that has begun with one may go on writing at the memory limit.
redis.call('HDEL', group, 'halt')
redis.call('HSETNX', group, 'error', reason)
redis.call('HSET', group, 'halt', '1')
return {'HALTED', tonumber(added)}
