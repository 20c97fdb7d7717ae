--[[
expire_steps: let the records of the steps of up to 100 runs, of their attempts and the logs of these expire with the
runs. Executed with the commit that ends the runs, as one atomic step, for runs with steps or with several attempts.

USES read_from
KEYS
  questions  zset  {ns:shard}:questions             loses the runs
  run        hash  {ns:shard}:run:<run_id>          \ for each run: read, how long it is kept;
  steps      hash  {ns:shard}:steps:<run_id>        / expires when the run does; then
  attempt    hash  {ns:shard}:attempt:<attempt_id>  for each of its attempts: expires when the run does
  log        list  {ns:shard}:log:<attempt_id>      for each of these attempts, in their order: the same
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

local expiring, kept_ms, has_asked = 0, {}, redis.call('ZCARD', questions) > 0
for _ = 1, math.min(count, 100) do
  local run, steps = next_keys(2)
  local run_id, attempts = next_args(2)
  local attempted = {next_keys(math.min(tonumber(attempts), 100))}
  local left = redis.call('PTTL', run)
  if left > 0 then
    if has_asked then redis.call('ZREM', questions, run_id) end
    redis.call('PEXPIRE', steps, left)
    for _, attempt in ipairs(attempted) do redis.call('PEXPIRE', attempt, left) end
    expiring = expiring + 1
  end
  for _ in ipairs(attempted) do kept_ms[#kept_ms + 1] = left end
end
-- Most attempts have no log: one look at all of them replaces one at each.
local logs = {next_keys()}
if #logs > 0 and redis.call('EXISTS', unpack(logs)) > 0 then
  for i, log in ipairs(logs) do
    if kept_ms[i] > 0 then redis.call('PEXPIRE', log, kept_ms[i]) end
  end
end
return {'EXPIRING', expiring}
