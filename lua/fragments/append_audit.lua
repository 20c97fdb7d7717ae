--[[
append_audit: append a line to the audit list of a job and keep the latest thousand lines.

TAKES
  audit  list  {ns:shard}:audit:<job_id>  gets the line
  now    int   ms
  by     str   the author of the change
  what   str   the kind of change, one word
  note   str   for people
GIVES
  nothing
]]
local function append_audit(audit, now, by, what, note)
  local lines = redis.call('RPUSH', audit, table.concat({now, by, what, note}, '\n'))
  if lines > 1000 then redis.call('LTRIM', audit, -1000, -1) end
end
