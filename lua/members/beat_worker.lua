--[[
beat_worker: record the beat of a worker and read the news for it, in one command.

USES check_all_types
KEYS
  workers  zset    {ns:shard}:workers             worker id by the ms of its last beat
  record   hash    {ns:shard}:worker:<worker_id>  its status and the command for it; expires a day after the last beat
  cancels  zset    {ns:shard}:cancels             run id by ms of the request
  streams  set     {ns:shard}:streams             places of the streams that exist
  paused   set     {ns:shard}:paused              queues that are paused
  holds    zset    {ns:shard}:holds               names on hold, by the ms at which the hold ends
  identity string  {ns:shard}:identity            made when absent: the server is new, or was emptied
  watched  hash    {ns:shard}:suspects            beat and first sight (ms) of each suspect; expires
ARGV
  worker_id  str
  now        int  ms of server time
  lease      int  ms without a beat after which a worker is suspect
  since      int  ms; requests to cancel from then on are reported
  status     str  JSON for people: host, pid, queues, attempts in flight
  candidate  str  the identity, when there is none
OUT
  BEAT suspects cancels places paused command time holds identity found sights
       suspects: worker id and beat in turn, up to 100; cancels: up to 1000 run ids; places: all; paused: all queue
       names; command: for this worker, quiet, stop or empty; time: of the server, so that a beat needs no second
       command to correct the worker's clock; holds: names on hold; identity: of the shard; found: the beat of this
       worker that was on record, or empty; sights: for each suspect, the ms since which it is known to be one
KEEPS I3
]]
local workers, record, cancels, streams, paused, holds = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local identity, watched = KEYS[7], KEYS[8]
local worker_id, now, lease, since, status = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]
local candidate = ARGV[6]

check_all_types(KEYS)
local found = redis.call('ZSCORE', workers, worker_id) or ''

-- A removal comes first: a script that has begun with one may go on writing at the memory limit, where workers
-- are busy recording what they run and must not pass for dead.
redis.call('ZREM', workers, worker_id)
redis.call('ZADD', workers, now, worker_id)
redis.call('HSET', record, 'status', status)
redis.call('PEXPIRE', record, 86400000)
-- A beat from the future is as suspect as one from long ago: the clock of the server may have stepped back.
local silent = redis.call('ZRANGEBYSCORE', workers, '-inf', '(' .. (now - lease), 'WITHSCORES', 'LIMIT', 0, 50)
local early = redis.call('ZRANGEBYSCORE', workers, '(' .. (now + lease), '+inf', 'WITHSCORES', 'LIMIT', 0, 50)
for _, ahead in ipairs(early) do
  silent[#silent + 1] = ahead
end
redis.call('SET', identity, candidate, 'NX')
local sights = {}
for at = 1, math.min(#silent, 200), 2 do
  -- Kept here, so that an observer which dies leaves to the next one what it has seen.
  local beat, since_ms = string.match(redis.call('HGET', watched, silent[at]) or '', '^(%S+) (%S+)$')
  if beat ~= silent[at + 1] then
    since_ms = string.format('%d', now)
    redis.call('HSET', watched, silent[at], silent[at + 1] .. ' ' .. since_ms)
    redis.call('PEXPIRE', watched, 86400000)
  end
  sights[#sights + 1] = since_ms
end
return {'BEAT', silent, redis.call('ZRANGEBYSCORE', cancels, since, '+inf', 'LIMIT', 0, 1000),
  redis.call('SMEMBERS', streams), redis.call('SMEMBERS', paused), redis.call('HGET', record, 'command') or '',
  redis.call('TIME'), redis.call('ZRANGEBYSCORE', holds, '(' .. now, '+inf'), redis.call('GET', identity), found, sights}
