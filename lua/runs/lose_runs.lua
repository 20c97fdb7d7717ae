--[[
lose_runs: end up to 100 attempts of one stream whose worker died, and put their runs back onto it for any worker. The
same as retry_run without a delay for each of them, at a third of the cost.

USES read_from
KEYS
  stream   stream  {ns:shard}:stream:<queue>:<prio>  loses the entries; gets the next ones
  run      hash    {ns:shard}:run:<run_id>           \ for each run: pending again;
  attempt  hash    {ns:shard}:attempt:<attempt_id>   \ written once, with its expiry;
  halting  hash    {ns:shard}:occurrence:<occ_id>    / optional, or the run's group: read, was it halted meanwhile?
ARGV
  worker    str  the one that died
  error     str  what is on record of each attempt
  ended_at  int  ms
  count     int  runs in this call
  entry, message, number, crashes, keep_ms, halts  for each run: its entry and its message, the number of the lost
                 attempt, lost attempts with this one, how long the attempt's record is kept (ms), and 1 when there is a
                 key by which it may have been halted, else 0
OUT
  LOST done canceled  the positions, from 1, of runs that were put back, now or by an earlier send; then those of runs
                      that are to be cancelled: end them so, nothing was written for them. An entry that another caller
                      has ended is in neither list
KEEPS I3 I4 I5 I6 I7 I9
]]
local stream, worker, error, ended_at, count = KEYS[1], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local next_keys, next_args = read_from(KEYS, 2), read_from(ARGV, 5)

local done, canceled = {}, {}
for i = 1, math.min(count, 100) do
  local run, attempt = next_keys(2)
  local entry, message, number, crashes, keep_ms, halts = next_args(6)
  local halting = next_keys(tonumber(halts))
  -- A key of the wrong type ends the script here, while the entry is still there for the next send.
  local before = redis.call('HMGET', attempt, 'state', 'worker', 'ended_at')
  local known = redis.call('HMGET', run, 'entry', 'cancel')
  if known[1] == entry and (known[2] or halting and redis.call('HEXISTS', halting, 'halt') == 1) then
    canceled[#canceled + 1] = i
  elseif redis.call('XACK', stream, 'workers', entry) == 1 then
    redis.call('XDEL', stream, entry)
    redis.call('HSET', attempt, 'state', 'lost', 'number', number, 'worker', worker,
      'ended_at', ended_at, 'error', error)
    redis.call('PEXPIRE', attempt, keep_ms)
    local next_number = string.format('%d', number + 1)
    -- The stream exists: the entry that was acknowledged just now was in it.
    local again = redis.call('XADD', stream, '*', 'm', message, 'n', next_number, 'c', crashes)
    redis.call('HSET', run, 'state', 'pending', 'entry', again, 'attempt', next_number, 'crashes', crashes)
    done[#done + 1] = i
  elseif before[1] == 'lost' and before[2] == worker and before[3] == ended_at then
    done[#done + 1] = i
  end
end
return {'LOST', done, canceled}
