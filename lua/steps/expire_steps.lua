--[[
expire_steps: let the records of the steps of up to 100 runs expire with their runs, and those of their attempts. Executed
with the commit that ends the runs, as one atomic step.

USES read_from
KEYS
  questions  zset  {ns:shard}:questions             loses the runs
  run        hash  {ns:shard}:run:<run_id>          \ for each run: read, how long it is kept;
  steps      hash  {ns:shard}:steps:<run_id>        / expires when the run does; then
  attempt    hash  {ns:shard}:attempt:<attempt_id>  \ for each of its attempts: they expire when the run does;
  log        list  {ns:shard}:log:<attempt_id>      / nothing is done for one that does not exist
ARGV
  count     int  number of runs
  run_id    str  \ one pair for each run:
  attempts  int  / how many attempts are given, at most 100
OUT
  EXPIRING n  so many go with their runs; the others have not ended, or are gone: nothing was written for them
KEEPS I9
]]
local questions, next_keys, next_args = KEYS[1], read_from(KEYS, 2), read_from(ARGV, 2)
local count = tonumber(ARGV[1])

local expiring = 0
for _ = 1, math.min(count, 100) do
  local run, steps = next_keys(2)
  local run_id, attempts = next_args(2)
  local logged = {next_keys(2 * math.min(tonumber(attempts), 100))}
  local left = redis.call('PTTL', run)
  if left > 0 then
    -- First what a key of the wrong type can refuse.
    redis.call('ZREM', questions, run_id)
    redis.call('PEXPIRE', steps, left)
    for _, key in ipairs(logged) do redis.call('PEXPIRE', key, left) end
    expiring = expiring + 1
  end
end
return {'EXPIRING', expiring}
