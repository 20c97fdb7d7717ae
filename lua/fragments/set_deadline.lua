--[[
set_deadline: give an occurrence its deadline, in its own record and in the set that tickers look at.

TAKES
  occurrence  hash  {ns:shard}:occurrence:<occ_id>  gets the deadline
  deadlines   zset  {ns:shard}:deadlines            occurrence id by the ms it is timed out at
  occ_id      str
  deadline    str   ms, or empty for an occurrence without a deadline: then nothing is written
GIVES
  nothing
]]
local function set_deadline(occurrence, deadlines, occ_id, deadline)
  if deadline == '' then return end
  redis.call('HSET', occurrence, 'deadline', deadline)
  redis.call('ZADD', deadlines, deadline, occ_id)
end
