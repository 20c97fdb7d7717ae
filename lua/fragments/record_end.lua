--[[
record_end: write the end of a run into its record, into the record of the attempt that ended it, and into the dead
letters when the run is dead. All of them get their expiry here, so that no record of an ended run stays for ever.

TAKES
  attempt       hash  {ns:shard}:attempt:<attempt_id>  written; false for a run that never began
  run           hash  {ns:shard}:run:<run_id>          written
  dead          zset  {ns:shard}:dead                  gets a dead run, by the ms its records expire at
  run_id        str
  state         str   terminal state of the run
  ended_at      int   ms
  retention_ms  int   how long the records are kept
  split         int   how many arguments are fields and values of the attempt; the rest are those of the run
  first         int   position of the first of these arguments in ARGV
GIVES
  nothing
]]
local function record_end(attempt, run, dead, run_id, state, ended_at, retention_ms, split, first)
  if attempt then
    redis.call('HSET', attempt, unpack(ARGV, first, first + split - 1))
    redis.call('PEXPIRE', attempt, retention_ms)
  end
  redis.call('HSET', run, unpack(ARGV, first + split))
  redis.call('PEXPIRE', run, retention_ms)
  -- Who asked for the cancel has said why; the worker that ends the run may not have read it.
  local why = state == 'canceled' and redis.call('HGET', run, 'cancel_reason')
  if why then redis.call('HSET', run, 'error', 'canceled: ' .. why) end
  if state == 'dead' then redis.call('ZADD', dead, ended_at + retention_ms, run_id) end
end
