--[[
record_end: write the end of a run into its record, into the record of the attempt that ended it, and into the dead
letters when it is out of attempts. All of them get their expiry here, so that no record of an ended run stays for ever.

TAKES
  attempt       hash  {ns:shard}:attempt:<attempt_id>  written; false for a run that never began
  run           hash  {ns:shard}:run:<run_id>          written
  dead          zset  {ns:shard}:dead                  gets the run when `buried` is 1, by the ms its records expire at
  run_id        str
  state         str   terminal state of the run
  ended_at      int   ms
  retention_ms  int   how long the records are kept
  buried        str   1: the run becomes a dead letter; 0: it does not
  split         int   how many arguments are fields and values of the attempt; the rest are those of the run
  first         int   position of the first of these arguments in ARGV
  overdue       hash  {ns:shard}:occurrence:<occ_id>   of a run that is ended by the deadline of its occurrence; else nil
GIVES
  nothing
]]
local function record_end(attempt, run, dead, run_id, state, ended_at, retention_ms, buried, split, first, overdue)
  if attempt then
    redis.call('HSET', attempt, unpack(ARGV, first, first + split - 1))
    redis.call('PEXPIRE', attempt, retention_ms)
  else
    redis.call('HSET', run, 'unbegun', '1')
  end
  redis.call('HSET', run, unpack(ARGV, first + split))
  redis.call('PEXPIRE', run, retention_ms)
  if overdue then
    redis.call('HSET', run, 'state', 'timed_out', 'error', 'its occurrence ' .. (redis.call('HGET', overdue, 'error') or ''))
  end
  local why = state == 'canceled' and redis.call('HGET', run, 'cancel_reason')
  if why and not overdue then
    -- Who asked for the cancel has said why; the worker that ends the run may not have read it.
    redis.call('HSET', run, 'error', 'canceled: ' .. why)
  elseif state == 'canceled' and not why then
    why = string.gsub(redis.call('HGET', run, 'error') or '', '^canceled: ', '')
    redis.call('HSET', run, 'cancel_reason', why)
  end
  if buried == '1' then redis.call('ZADD', dead, ended_at + retention_ms, run_id) end
end
