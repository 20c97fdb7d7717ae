--[[
expire_steps: let the records of a run's steps expire with the run. Executed with the commit that ends the run, as one
atomic step.

KEYS
  run        hash  {ns:shard}:run:<run_id>    read: how long it is kept
  steps      hash  {ns:shard}:steps:<run_id>  expires when the run does
  questions  zset  {ns:shard}:questions       loses the run
ARGV
  run_id  str
OUT
  EXPIRING  they go with the run
  LIVE      the run has not ended, or is gone: nothing was written
KEEPS I9
]]
local run, steps, questions, run_id = KEYS[1], KEYS[2], KEYS[3], ARGV[1]

local left = redis.call('PTTL', run)
if left <= 0 then return {'LIVE'} end
-- First what a key of the wrong type can refuse.
redis.call('ZREM', questions, run_id)
redis.call('PEXPIRE', steps, left)
return {'EXPIRING'}
