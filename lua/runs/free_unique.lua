--[[
free_unique: give up a unique key that is held only while its run is queued; called when the run is about to start.

KEYS
  unique  string  {ns:shard}:unique:<key>  deleted when it is this run's
ARGV
  run_id  str
OUT
  FREED  it is not this run's (any more)
KEEPS I9
]]
local unique = KEYS[1]
local run_id = ARGV[1]

if redis.call('GET', unique) == run_id then redis.call('DEL', unique) end
return 'FREED'
