--[[
command_worker: leave a command for a worker, which reads it with its next beat.

KEYS
  record  hash  {ns:shard}:worker:<worker_id>  gets the command
ARGV
  command  str  quiet or stop
OUT
  TOLD     the command is there
  UNKNOWN  there is no such worker: nothing was written
KEEPS I9
]]
local record = KEYS[1]
local command = ARGV[1]

if redis.call('EXISTS', record) == 0 then return {'UNKNOWN'} end
redis.call('HSET', record, 'command', command)
return {'TOLD'}
