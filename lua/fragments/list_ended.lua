--[[
list_ended: list runs among those of their state that ended last, for people who look for them. The latest stands first;
the list keeps a thousand, and is cut when it has a hundred more.

TAKES
  ended  list  {ns:shard}:ended:<state>  gets the runs
  runs   list  ids of runs, at most 100
GIVES
  nothing
]]
local function list_ended(ended, runs)
  -- pcall: neither a key of the wrong type nor the memory limit may undo or half finish the end of a run.
  local length = #runs > 0 and redis.pcall('LPUSH', ended, unpack(runs))
  if (tonumber(length) or 0) > 1100 then redis.pcall('LTRIM', ended, 0, 999) end
end
