--[[
move_steps: give the records of an ended run's steps to the run that has its work now, without those that it is to do
again.

TAKES
  from   hash      {ns:shard}:steps:<run_id>  the records of the ended run; gone afterwards
  steps  hash      {ns:shard}:steps:<run_id>  those of the new run; kept as long as it goes on
  names  table     the steps that are done again
GIVES
  nothing
]]
local function move_steps(from, steps, names)
  if #names > 0 then redis.call('HDEL', from, unpack(names)) end
  if redis.call('EXISTS', from) == 1 then
    redis.call('RENAME', from, steps)
    redis.call('PERSIST', steps)
  end
end
