--[[
forget_worker: remove a worker that has ended, with its consumers. Redis drops the pending entries of a deleted
consumer for good, so this looks first.

KEYS
  workers  zset    {ns:shard}:workers                   loses the worker
  record   hash    {ns:shard}:worker:<worker_id>        deleted
  stream   stream  {ns:shard}:stream:<queue>:<prio>     each stream that exists; loses the consumer
ARGV
  worker_id  str
  beat       int  the last beat that the caller knows of
OUT
  FORGOTTEN    nothing is left of it
  ALIVE        it has beaten since: nothing was written
  BUSY pending entries are pending for it: nothing was written
KEEPS I3 I4 I7
]]
local workers, record = KEYS[1], KEYS[2]
local worker_id, beat = ARGV[1], ARGV[2]

local last = redis.call('ZSCORE', workers, worker_id)
if last and tonumber(last) ~= tonumber(beat) then return {'ALIVE'} end
for i = 3, math.min(#KEYS, 102) do
  local held = redis.call('XPENDING', KEYS[i], 'workers', '-', '+', 1, worker_id)
  if #held > 0 then return {'BUSY'} end
end
for i = 3, math.min(#KEYS, 102) do redis.call('XGROUP', 'DELCONSUMER', KEYS[i], 'workers', worker_id) end
redis.call('DEL', record)
redis.call('ZREM', workers, worker_id)
return {'FORGOTTEN'}
