--[[
ends_audit: tell whether the last line of the audit list of a job is this one, as an earlier send has left it.

TAKES
  audit  list  {ns:shard}:audit:<job_id>  read: its last line
  now    int   ms
  by     str   the author of the change
  what   str   the kind of change, one word
  note   str   for people
GIVES
  whether it is
]]
local function ends_audit(audit, now, by, what, note)
  return redis.call('LINDEX', audit, -1) == table.concat({now, by, what, note}, '\n')
end
