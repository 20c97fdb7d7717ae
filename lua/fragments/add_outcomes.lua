--[[
add_outcomes: count runs that have ended, by state, queue and task. Each day (UTC) has counts of its own, which expire.

TAKES
  outcomes  hash  {ns:shard}:outcomes:<day>  counted up
  field     str   `<state> <queue> <task>`
  number    int   how many runs
GIVES
  nothing
]]
local function add_outcomes(outcomes, field, number)
  if redis.call('HINCRBY', outcomes, field, number) > number then return end
  -- The first of its kind on this day.
  redis.call('PEXPIRE', outcomes, 2764800000)
  if redis.call('HLEN', outcomes) > 5000 then
    redis.call('HDEL', outcomes, field)
    redis.call('HINCRBY', outcomes, string.match(field, '^%S+') .. ' * *', number)
  end
end
