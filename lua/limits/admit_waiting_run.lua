--[[
admit_waiting_run: give a run that waits for a limit its permits, and put it at the front of its queue; or move it to
the waiting list of another of its limits that is full.

USES read_from enqueue_entry check_types
KEYS
  wanted   zset    {ns:shard}:waiting:<name>      the list it waits in; loses the run
  run      hash    {ns:shard}:run:<run_id>        pending again
  front    stream  {ns:shard}:stream:<queue>:10   gets the entry
  streams  set     {ns:shard}:streams             places of the streams that exist
  limits   hash    {ns:shard}:limits              limits in use: name to how many, as last said by a worker
  held     hash    {ns:shard}:held:<name>         \ for each of its limits at a time: run id to its entry,
  waiting  zset    {ns:shard}:waiting:<name>      / place:run id of runs that wait
ARGV
  run_id   str
  member   str  place:run id
  place    str  of the front
  name     str  \ for each limit: the name it counts under,
  most     int  / how many when it began to wait; the number in `limits` counts instead when there is one
OUT
  ADMITTED    it holds its permits, and its entry is on the stream
  MOVED name  it waits for that limit now
  FULL        the limit it waits for is still full: nothing was written
  GONE        it does not wait there (any more)
KEEPS I3 I7 I9
]]
local wanted, run, front, streams, limits = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local count, next_keys = math.min((#KEYS - 5) / 2, 20), read_from(KEYS, 6)
local run_id, member, place = ARGV[1], ARGV[2], ARGV[3]
local next_args = read_from(ARGV, 4)

local since = redis.call('ZSCORE', wanted, member)
if not since then return {'GONE'} end
local kept = redis.call('HMGET', run, 'message', 'attempt', 'crashes')
if not kept[1] then
  redis.call('ZREM', wanted, member)
  return {'GONE'}
end
local uses = {}
for i = 1, count do
  local held, waiting = next_keys(2)
  local name, known_most = next_args(2)
  uses[i] = {held = held, name = name, most = known_most}
  local most = tonumber(redis.call('HGET', limits, name) or known_most)
  if redis.call('HLEN', held) >= most and redis.call('HEXISTS', held, run_id) == 0 then
    if waiting == wanted then return {'FULL'} end
    check_types({}, {waiting})
    -- A removal comes first: a script that has begun with one may go on writing at the memory limit.
    redis.call('ZREM', wanted, member)
    -- It keeps the time of its entry, so that it does not lose its turn by moving.
    redis.call('ZADD', waiting, since, member)
    redis.call('HSETNX', limits, name, most)
    redis.call('HSET', run, 'waiting', name, 'note', 'waits for limit ' .. name)
    return {'MOVED', name}
  end
end
check_types({}, {}, {streams}, {}, {front})
-- A removal first, here as well: runs that leave the limit's waiting list are what frees memory.
redis.call('ZREM', wanted, member)
local entry = enqueue_entry(front, streams, place, kept[1], kept[2], kept[3])
for _, use in ipairs(uses) do
  redis.call('HSET', use.held, run_id, place .. ' ' .. entry)
  redis.call('HSETNX', limits, use.name, use.most)
end
redis.call('HSET', run, 'state', 'pending', 'entry', entry)
redis.call('HDEL', run, 'message', 'note', 'waiting')
return {'ADMITTED'}
