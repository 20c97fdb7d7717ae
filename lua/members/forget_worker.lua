--[[
forget_worker: remove a worker that has ended, with its consumers. Redis drops the pending entries of a deleted
consumer for good, so this looks first.

USES read_from check_all_types
KEYS
  workers  zset    {ns:shard}:workers                   loses the worker
  record   hash    {ns:shard}:worker:<worker_id>        deleted
  watched  hash    {ns:shard}:suspects                  loses the worker
  stream   stream  {ns:shard}:stream:<queue>:<prio>     each of up to 100; loses the consumer
ARGV
  worker_id  str
  beat       int  the last beat that the caller knows of
  more       int  how many streams are left for further calls: until the last one, the records stay
OUT
  FORGOTTEN    nothing is left of it in these streams, and with the last call nothing at all
  ALIVE        it has beaten since: nothing was written
  BUSY         entries are pending for it: nothing was written
KEEPS I3 I4 I7
]]
local workers, record, watched = KEYS[1], KEYS[2], KEYS[3]
local count, next_keys = math.min(#KEYS - 3, 100), read_from(KEYS, 4)
local worker_id, beat, more = ARGV[1], ARGV[2], ARGV[3]

check_all_types(KEYS)
local last = redis.call('ZSCORE', workers, worker_id)
if last and tonumber(last) ~= tonumber(beat) then return {'ALIVE'} end
local streams = {}
for _ = 1, count do
  local stream = next_keys(1)
  if redis.call('EXISTS', stream) == 1 then streams[#streams + 1] = stream end
end
for _, stream in ipairs(streams) do
  if #redis.call('XPENDING', stream, 'workers', '-', '+', 1, worker_id) > 0 then return {'BUSY'} end
end
for _, stream in ipairs(streams) do redis.call('XGROUP', 'DELCONSUMER', stream, 'workers', worker_id) end
if more ~= '0' then return {'FORGOTTEN'} end
redis.call('DEL', record)
redis.call('HDEL', watched, worker_id)
redis.call('ZREM', workers, worker_id)
return {'FORGOTTEN'}
