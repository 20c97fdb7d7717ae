--[[
record_success: write the end of a run that succeeded, whose entry is acknowledged by now.

TAKES
  run           hash  {ns:shard}:run:<run_id>          becomes succeeded, and gets its expiry
  attempt       hash  {ns:shard}:attempt:<attempt_id>  written once, and gets its expiry
  worker        str   the worker that ran it
  retention_ms  int   how long the records are kept
  number        int   of the attempt
  started_at    int   ms
  ended_at      int   ms
  result        str   JSON or empty
GIVES
  nil: it is on record. Otherwise the error: the run has the wrong type, and nothing was written
]]
local function record_success(run, attempt, worker, retention_ms, number, started_at, ended_at, result)
  -- pcall: it is acknowledged by now, and a key of the wrong type may neither lose this run nor hold up another one.
  local written = redis.pcall('HSET', run, 'state', 'succeeded', 'ended_at', ended_at)
  if not tonumber(written) then return written end
  -- A record without a number is that of a first attempt, as those of nearly all runs are.
  if number ~= '0' then redis.call('HSET', run, 'attempt', number) end
  if result ~= '' then redis.call('HSET', run, 'result', result) end
  redis.call('HSET', attempt, 'state', 'succeeded', 'number', number, 'worker', worker,
    'started_at', started_at, 'ended_at', ended_at)
  redis.call('PEXPIRE', attempt, retention_ms)
  redis.call('PEXPIRE', run, retention_ms)
end
