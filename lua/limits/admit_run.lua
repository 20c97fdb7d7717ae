--[[
admit_run: let a fetched run start when all its limits allow it, or have it wait where no worker holds it: in the
waiting list of a limit that is full, or in the delayed set until a rate allows it. All limits are taken, or none.

USES read_from delay_member check_types
KEYS
  stream   stream  {ns:shard}:stream:<queue>:<prio>  loses the entry of a run that waits
  run      hash    {ns:shard}:run:<run_id>           gets the limit it waits for, or the limits it counts under
  limits   hash    {ns:shard}:limits                 limits in use: name to how many, as last said by a worker
  delayed  zset    {ns:shard}:delayed                gets the run when a rate holds it up
  wake     channel {ns:shard}:wake                   gets a message when nothing is due earlier
  held     hash    {ns:shard}:held:<name>            \ for each limit at a time: run id to the entry of its permit,
  waiting  zset    {ns:shard}:waiting:<name>         / place:run id of runs that wait, by the ms of their entry
                   {ns:shard}:rate:<name>            \ for each rate instead, both zsets: starts by ms,
                   {ns:shard}:promised:<name>        / run ids by the ms that was promised to them
ARGV
  entry    str  the stream entry
  run_id   str
  place    str  `<queue>:<prio>`
  mark     str  what a permit is held for: `<place of the stream> <entry>`
  message  str  the run's message
  number   int  of the attempt
  crashes  int  lost attempts so far
  since    num  ms of its entry, with a fraction: the run that came first is let in first
  now      int  ms
  uses     str  JSON of its limits, for the call that lets it in later
  name     str  \ for each limit: the name it counts under,
  most     int  | each how many,
  per      int  / in how many ms, 0 for at a time
OUT
  ADMITTED        it may start; a second send says so again
  WAITS name      that limit is full, or others wait for it before this run
  LATER due_at    it is promoted at that ms
  STALE           another caller has ended the attempt: nothing was written
KEEPS I3 I7 I9
LONG All limits are looked at before any permit is taken, and all permits are taken in the same step, or none. With two
     scripts, or a decision in Python, two runs could take the last permit, or each hold a permit that the other needs.
]]
local stream, run, limits, delayed, wake = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local count, next_keys = math.min((#KEYS - 5) / 2, 20), read_from(KEYS, 6)
local entry, run_id, place, mark, message, number = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local crashes, since, now, uses = ARGV[7], ARGV[8], tonumber(ARGV[9]), ARGV[10]
local next_args = read_from(ARGV, 11)

if #redis.call('XPENDING', stream, 'workers', entry, entry, '1') == 0 then return 'STALE' end
local turn = tonumber(redis.call('HGET', run, 'turn') or '')
-- A ticker has found that its turn has come. The clock of this worker may be a little behind: the turn counts all the
-- same, or the run would go behind everybody that came after it.
if turn and turn > now and turn - now <= 1000 then now = turn end
local wanted, full, free_at = {}, nil, now
for i = 1, count do
  local held, waiting = next_keys(2)
  local name, most, per = next_args(3)
  most, per = tonumber(most), tonumber(per)
  wanted[i] = {held = held, waiting = waiting, name = name, most = most, per = per}
  if per == 0 and redis.call('HEXISTS', held, run_id) == 0 then
    -- A run that waits goes before this one even while a permit is free: otherwise newcomers could starve it.
    local busy = redis.call('HLEN', held) >= most or redis.call('EXISTS', waiting) == 1
    if busy and not full then full = wanted[i] end
  elseif per > 0 and not redis.call('ZSCORE', held, mark) then
    check_types({limits}, {waiting, delayed})
    redis.call('ZREMRANGEBYSCORE', held, '-inf', now - per)
    redis.call('ZREMRANGEBYSCORE', waiting, '-inf', now - per)
    redis.call('ZREM', waiting, run_id)
    -- A run whose promised time has come counts only the starts before it; a newcomer comes after all promises.
    local ahead = turn and turn <= now and 0 or redis.call('ZCARD', waiting)
    local times, at = held, most - 1 - ahead
    if at < 0 then times, at = waiting, most - 1 end
    local nth = redis.call('ZREVRANGE', times, at, at, 'WITHSCORES')
    if nth[2] then free_at = math.max(free_at, nth[2] + per) end
  end
end

-- Only now is it known whether the run starts, so only now are permits taken: a run that waits for one limit must not
-- hold a permit of another meanwhile, or two runs that each want what the other holds would wait for ever.
local waits = full or free_at > now
if waits then
  check_types({limits}, {delayed, full and full.waiting})
else
  -- A removal comes first: a script that has begun with one may go on writing at the memory limit.
  redis.call('HDEL', run, 'turn')
end
for _, use in ipairs(wanted) do
  if use.per == 0 and waits then
    redis.call('HDEL', use.held, run_id)
  elseif use.per == 0 then
    redis.call('HSET', limits, use.name, use.most)
    redis.call('HSET', use.held, run_id, mark)
  elseif not full then
    local times, member = waits and use.waiting or use.held, waits and run_id or mark
    redis.call('ZADD', times, 'NX', free_at, member)
    local keep = free_at - now + use.per + 60000
    if redis.call('PTTL', times) < keep then redis.call('PEXPIRE', times, keep) end
  end
end
if not waits then
  redis.call('HSET', run, 'limits', uses)
  return 'ADMITTED'
end
redis.call('XACK', stream, 'workers', entry)
redis.call('XDEL', stream, entry)
redis.call('HSET', run, 'state', 'scheduled', 'entry', '', 'message', message, 'attempt', number, 'crashes', crashes,
  'limits', uses)
local member = place .. ':' .. run_id
if full then
  redis.call('HSET', run, 'waiting', full.name, 'note', 'waits for limit ' .. full.name)
  redis.call('ZADD', full.waiting, since, member)
  redis.call('HSET', limits, full.name, full.most)
  return {'WAITS', full.name}
end
redis.call('HSET', run, 'due_at', free_at, 'turn', free_at, 'note', 'waits for its turn under a rate limit')
delay_member(delayed, wake, member, free_at)
return {'LATER', free_at}
