--[[
delay_member: put a run into the delayed set, and wake the tickers when no other run is due earlier. Without that they
would sleep until the instant that was the earliest before.

TAKES
  delayed  zset     {ns:shard}:delayed  gets the run
  wake     channel  {ns:shard}:wake     gets a message when nothing is due earlier
  member   str      `<place>:<run_id>`
  due_at   int      ms at which the run is promoted
GIVES
  nothing
]]
local function delay_member(delayed, wake, member, due_at)
  redis.call('ZADD', delayed, due_at, member)
  if redis.call('ZRANGE', delayed, 0, 0)[1] == member then redis.call('PUBLISH', wake, 'run') end
end
