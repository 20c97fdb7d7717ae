--[[
release_held: make up to 100 runs due now that a hold has put off; the caller has ended or changed the hold before.

KEYS
  parked   zset    {ns:shard}:parked:<name>  loses the runs
  delayed  zset    {ns:shard}:delayed        runs that are still there become due
  wake     channel {ns:shard}:wake           gets a message when there are any
ARGV
  now      int  ms
OUT
  LEFT n  how many are still to be released: call again until there are none
KEEPS I3 I9
]]
local parked, delayed, wake = KEYS[1], KEYS[2], KEYS[3]
local now = ARGV[1]

local members = redis.call('ZRANGE', parked, 0, 99)
for _, member in ipairs(members) do
  -- A run that came back by itself may wait for a retry by now, which is no hold.
  if redis.call('ZSCORE', delayed, member) == redis.call('ZSCORE', parked, member) then
    redis.call('ZADD', delayed, now, member)
  end
  redis.call('ZREM', parked, member)
end
if #members > 0 then redis.call('PUBLISH', wake, 'run') end
return {'LEFT', redis.call('ZCARD', parked)}
