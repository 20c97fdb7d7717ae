--[[
admit_waiting_run: let a run that waits for a limit have its slots, and put it at the front of its queue; or have it wait
for another of its limits that is full.

KEYS
  wanted   zset    {ns:shard}:waiting:<name>      the list it waits in; loses the run
  run      hash    {ns:shard}:run:<run_id>        pending again
  front    stream  {ns:shard}:stream:<queue>:10   gets the entry
  streams  set     {ns:shard}:streams             places of the streams that exist
  limits   hash    {ns:shard}:limits              limits in use: name to how many, as last said by a worker
  held     hash    {ns:shard}:held:<name>         \ for each of its limits at a time: run id to what it holds a slot for,
  waiting  zset    {ns:shard}:waiting:<name>      / place:run id of those that wait
ARGV
  run_id   str
  member   str  place:run id
  place    str  of the front
  name     str  \ for each limit: what it counts under,
  most     int  / how many when it began to wait; what is said since then counts instead
OUT
  ADMITTED    it holds its slots and is on its way
  MOVED name  it waits for that limit now
  FULL        the limit it waits for is still full: nothing was written
  GONE        it does not wait there (any more)
KEEPS I3 I7 I9
]]
local wanted, run, front, streams, limits = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local run_id, member, place = ARGV[1], ARGV[2], ARGV[3]

local since = redis.call('ZSCORE', wanted, member)
if not since then return {'GONE'} end
local kept = redis.call('HMGET', run, 'message', 'attempt', 'crashes')
if not kept[1] then
  redis.call('ZREM', wanted, member)
  return {'GONE'}
end
for i = 1, math.min((#KEYS - 5) / 2, 20) do
  local held, waiting, name, most = KEYS[2 * i + 4], KEYS[2 * i + 5], ARGV[2 * i + 2], ARGV[2 * i + 3]
  most = tonumber(redis.call('HGET', limits, name) or most)
  if redis.call('HLEN', held) >= most and redis.call('HEXISTS', held, run_id) == 0 then
    if waiting == wanted then return {'FULL'} end
    redis.call('ZREM', wanted, member)
    redis.call('ZADD', waiting, since, member)
    redis.call('HSETNX', limits, name, most)
    redis.call('HSET', run, 'waiting', name, 'note', 'waits for limit ' .. name)
    return {'MOVED', name}
  end
end
redis.call('ZREM', wanted, member)
if redis.call('EXISTS', front) == 0 then redis.call('XGROUP', 'CREATE', front, 'workers', '0', 'MKSTREAM') end
redis.call('SADD', streams, place)
local entry = redis.call('XADD', front, '*', 'm', kept[1], 'n', kept[2], 'c', kept[3])
for i = 1, math.min((#KEYS - 5) / 2, 20) do
  local held, name = KEYS[2 * i + 4], ARGV[2 * i + 2]
  redis.call('HSET', held, run_id, place .. ' ' .. entry)
  redis.call('HSETNX', limits, name, ARGV[2 * i + 3])
end
redis.call('HSET', run, 'state', 'pending', 'entry', entry)
redis.call('HDEL', run, 'message', 'note', 'waiting')
return {'ADMITTED'}
