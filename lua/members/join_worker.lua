--[[
join_worker: note that a worker starts, and make up to 100 runs due now whose tasks no worker has known so far.

USES check_all_types
KEYS
  joined   string  {ns:shard}:joined   ms of this start; expires
  unknown  zset    {ns:shard}:unknown  loses the runs
  delayed  zset    {ns:shard}:delayed  runs that still wait there for a worker become due
  wake     channel {ns:shard}:wake     gets a message when there are any
ARGV
  now      int  ms
OUT
  LEFT n  how many are still to be made due: call again until there are none
KEEPS I3 I9
]]
local joined, unknown, delayed, wake = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now = ARGV[1]

check_all_types(KEYS)
-- A removal comes first: a script that has begun with one may go on writing at the memory limit, where workers that start
-- are what frees memory.
redis.call('DEL', joined)
redis.call('SET', joined, now, 'PX', 60000)
local members = redis.call('ZRANGE', unknown, 0, 99)
for _, member in ipairs(members) do
  -- A run that came back by itself may wait for something else by now.
  if redis.call('ZSCORE', delayed, member) == redis.call('ZSCORE', unknown, member) then
    redis.call('ZADD', delayed, now, member)
  end
  redis.call('ZREM', unknown, member)
end
if #members > 0 then redis.call('PUBLISH', wake, 'run') end
return {'LEFT', redis.call('ZCARD', unknown)}
