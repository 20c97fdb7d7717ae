--[[
record_steps: write records of steps, of at most 100 runs in one call, each only while the attempt that writes them goes
on. A wait that ends takes its signal with the same write.

USES read_from find_signal take_signal
KEYS
  run    hash  {ns:shard}:run:<run_id>    \ for each run: is this still its attempt? Its signals;
  steps  hash  {ns:shard}:steps:<run_id>  / of each: gets the records
ARGV
  entry   str  \ for each run: the stream entry that is the attempt,
  take    str  | of each: the id of a signal that is taken, or empty,
  unless  str  | for each: name of a signal, nothing is written when one has come that no wait has taken; or empty,
  count   int  | of each: how many records follow, at most 100,
  name    str  | of each step,
  record  str  / and of each: JSON
OUT
  RECORDED answer  for each run in turn one of the words that follow
  DONE      its records are written
  KNOWN     an earlier send of this very call has written them, or its step has ended
  STALE     the attempt has ended: nothing was written
  SIGNALED  a signal has come: nothing was written
KEEPS I6 I7 I9
]]
local runs, next_keys, next_args = math.min(#KEYS / 2, 100), read_from(KEYS, 1), read_from(ARGV, 1)

local reply = {'RECORDED'}
for i = 1, runs do
  local run, steps = next_keys(2)
  local entry, take, unless, count = next_args(4)
  local records = {next_args(2 * tonumber(count))}
  local known = redis.call('HMGET', run, 'entry', 'state', 'signals')
  if known[1] ~= entry or (known[2] ~= 'pending' and known[2] ~= 'running') then
    reply[i + 1] = 'STALE'
  elseif find_signal(known[3], unless) then
    reply[i + 1] = redis.call('HGET', steps, records[1]) == records[2] and 'KNOWN' or 'SIGNALED'
  else
    local is_new = redis.call('HSETNX', steps, records[1], records[2]) == 1
    local before = not is_new and redis.call('HGET', steps, records[1])
    -- A step that has ended keeps its record: an earlier send may arrive behind a later one, such as that of its cursor.
    if before and (before == records[2] or string.find(before, '^{[^{}]*"done":')) then
      reply[i + 1] = 'KNOWN'
    else
      if not is_new or #records > 2 then redis.call('HSET', steps, unpack(records)) end
      take_signal(run, known[3], take)
      reply[i + 1] = 'DONE'
    end
  end
  -- For a transaction that this is a part of; it is not sent.
  reply.unwritten = reply[i + 1] ~= 'DONE'
end
return reply
