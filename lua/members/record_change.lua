--[[
record_change: write into the list of changes of a shard an action of a person that no audit list of a job has.

USES append_audit
KEYS
  changes  list  {ns:shard}:changes  gets a line
ARGV
  now     int  ms
  by      str  the author of the change
  what    str  the kind of change
  target  str  the queue, worker, run or occurrence
  note    str  for people
OUT
  NOTED  written, now or by an earlier send whose line is the last one
KEEPS I9
]]
local changes = KEYS[1]
local now, by, what, target, note = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local rest = target .. '\n' .. note
-- The line of an earlier send whose reply was lost.
if redis.call('LINDEX', changes, -1) == table.concat({now, by, what, rest}, '\n') then return {'NOTED'} end
append_audit(changes, now, by, what, rest)
return {'NOTED'}
