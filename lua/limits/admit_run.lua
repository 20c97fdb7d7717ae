--[[
admit_run: let a fetched run start when all its limits allow it, or have it wait where no worker holds it: in the
waiting list of a limit that is full, or in the delayed set until a rate allows it. All limits are taken, or none.

KEYS
  stream   stream  {ns:shard}:stream:<queue>:<prio>  loses the entry of a run that waits
  run      hash    {ns:shard}:run:<run_id>           says what it waits for, or what it counts under
  limits   hash    {ns:shard}:limits                 limits in use: name to how many, as last said by a worker
  delayed  zset    {ns:shard}:delayed                gets the run when a rate holds it up
  wake     channel {ns:shard}:wake                   told when nothing is due earlier
  held     hash    {ns:shard}:held:<name>            \ for each limit at a time: run id to what it holds a slot for,
  waiting  zset    {ns:shard}:waiting:<name>         / place:run id of those that wait, by the ms of their entry
                   {ns:shard}:rate:<name>            \ for each rate instead, both zsets: starts by ms,
                   {ns:shard}:promised:<name>        / run ids by the ms that was promised to them
ARGV
  entry    str  the stream entry
  run_id   str
  place    str  `<queue>:<prio>`
  mark     str  what a slot is held for: `<place of the stream> <entry>`
  message  str  the run's message
  number   int  of the attempt
  crashes  int  lost attempts so far
  since    num  ms of its entry, with a fraction: who came first is let in first
  now      int  ms
  uses     str  JSON of its limits, for whoever lets it in later
  name     str  \ for each limit: what it counts under,
  most     int  | each how many,
  per      int  / in how many ms, 0 for at a time
OUT
  ADMITTED        it may start; a second send says so again
  WAITS name      that limit is full, or others wait for it before this run
  LATER due_at    it is promoted at that ms
  STALE           the attempt has been ended by somebody else: nothing was written
KEEPS I3 I7 I9
]]
local stream, run, limits, delayed, wake = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local entry, run_id, place, mark, message, number = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local crashes, since, now, uses = ARGV[7], ARGV[8], tonumber(ARGV[9]), ARGV[10]

if #redis.call('XPENDING', stream, 'workers', entry, entry, 1) == 0 then return {'STALE'} end
local turn = tonumber(redis.call('HGET', run, 'turn') or '')
local full, free_at = nil, now
for i = 1, math.min((#KEYS - 5) / 2, 20) do
  local held, waiting, most, per = KEYS[2 * i + 4], KEYS[2 * i + 5], tonumber(ARGV[3 * i + 9]), tonumber(ARGV[3 * i + 10])
  if per == 0 and redis.call('HEXISTS', held, run_id) == 0 then
    local busy = redis.call('HLEN', held) >= most or redis.call('EXISTS', waiting) == 1
    if busy and not full then full = i end
  elseif per > 0 and not redis.call('ZSCORE', held, mark) then
    redis.call('ZREMRANGEBYSCORE', held, '-inf', now - per)
    redis.call('ZREMRANGEBYSCORE', waiting, '-inf', now - per)
    redis.call('ZREM', waiting, run_id)
    -- Whose time has come looks at what has started only; a newcomer comes after all promises.
    local ahead = turn and turn <= now and 0 or redis.call('ZCARD', waiting)
    local times, at = held, most - 1 - ahead
    if at < 0 then times, at = waiting, most - 1 end
    local nth = redis.call('ZREVRANGE', times, at, at, 'WITHSCORES')
    if nth[2] then free_at = math.max(free_at, nth[2] + per) end
  end
end

local waits = full or free_at > now
for i = 1, math.min((#KEYS - 5) / 2, 20) do
  local held, waiting, name, per = KEYS[2 * i + 4], KEYS[2 * i + 5], ARGV[3 * i + 8], tonumber(ARGV[3 * i + 10])
  if per == 0 and waits then
    redis.call('HDEL', held, run_id)
  elseif per == 0 then
    redis.call('HSET', held, run_id, mark)
    redis.call('HSET', limits, name, ARGV[3 * i + 9])
  elseif not full then
    local times, member = waits and waiting or held, waits and run_id or mark
    redis.call('ZADD', times, 'NX', free_at, member)
    local keep = free_at - now + per + 60000
    if redis.call('PTTL', times) < keep then redis.call('PEXPIRE', times, keep) end
  end
end
if not waits then
  redis.call('HSET', run, 'limits', uses)
  redis.call('HDEL', run, 'turn')
  return {'ADMITTED'}
end
redis.call('XACK', stream, 'workers', entry)
redis.call('XDEL', stream, entry)
redis.call('HSET', run, 'state', 'scheduled', 'entry', '', 'message', message, 'attempt', number, 'crashes', crashes,
  'limits', uses)
local member = place .. ':' .. run_id
if full then
  local waiting, name = KEYS[2 * full + 5], ARGV[3 * full + 8]
  redis.call('HSET', run, 'waiting', name, 'note', 'waits for limit ' .. name)
  redis.call('ZADD', waiting, since, member)
  redis.call('HSET', limits, name, ARGV[3 * full + 9])
  return {'WAITS', name}
end
redis.call('HSET', run, 'due_at', free_at, 'turn', free_at, 'note', 'waits for its turn under a rate limit')
redis.call('ZADD', delayed, free_at, member)
if redis.call('ZRANGE', delayed, 0, 0)[1] == member then redis.call('PUBLISH', wake, 'run') end
return {'LATER', free_at}
