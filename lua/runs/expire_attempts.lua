--[[
expire_attempts: let the attempts that did not end a run, and the logs of all its attempts, expire with the run. Executed
with the commit that ends the run, as one atomic step.

USES read_from
KEYS
  run      hash  {ns:shard}:run:<run_id>          read: how long it is kept
  attempt  hash  {ns:shard}:attempt:<attempt_id>  \ for each attempt: expires when the run does; nothing is done for one
  log      list  {ns:shard}:log:<attempt_id>      / that does not exist
ARGV
  attempts  int  how many attempts there are, at most 100
OUT
  EXPIRING  they go with the run
  LIVE      the run has not ended, or is gone: nothing was written
KEEPS I9
]]
local run, next_keys = KEYS[1], read_from(KEYS, 2)
local attempts = tonumber(ARGV[1])

local left = redis.call('PTTL', run)
if left <= 0 then return {'LIVE'} end
for _ = 1, math.min(attempts, 100) do
  local attempt, log = next_keys(2)
  redis.call('PEXPIRE', attempt, left)
  redis.call('PEXPIRE', log, left)
end
return {'EXPIRING'}
