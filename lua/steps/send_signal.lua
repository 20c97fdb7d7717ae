--[[
send_signal: keep a signal for a run until one of its waits takes it, and wake the run when it waits for this one.

USES enqueue_entry check_all_types
KEYS
  run        hash    {ns:shard}:run:<run_id>           gets the signal; pending when it was waiting for it
  stream     stream  {ns:shard}:stream:<queue>:<prio>  gets the entry of a run that is woken
  streams    set     {ns:shard}:streams                places of the streams that exist
  delayed    zset    {ns:shard}:delayed                loses a run that is woken
  questions  zset    {ns:shard}:questions              the same
ARGV
  run_id     str
  place      str  `<queue>:<prio>`, as the record of the run has it
  id         str  of the signal: one that was sent before counts once
  name       str  of the signal
  value      str  JSON
  by         str  who sends it
  call       str  of this one call, so that its second send is told from another caller's
  now        int  ms
  most       int  how many signals a run may have
  most_bytes int  how many bytes they may have together
OUT
  WOKEN        the run has waited for it, and is on its stream
  KEPT         it waits for its wait, or an earlier send of this very call has delivered it
  KNOWN        another call has sent a signal of this id: nothing was written
  ENDED state  the run has ended: nothing was written
  FULL         it would have too many signals, or too large ones: nothing was written
  UNKNOWN      there is no such run: nothing was written
KEEPS I3 I4 I7 I9 I10
]]
local run, stream, streams, delayed, questions = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local run_id, place, id, name, value = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local by, call, now = ARGV[6], ARGV[7], tonumber(ARGV[8])
local most, most_bytes = tonumber(ARGV[9]), tonumber(ARGV[10])
local live = {pending = true, scheduled = true, running = true, suspended = true}

check_all_types(KEYS)
local known = redis.call('HMGET', run, 'state', 'signals', 'wait', 'message', 'attempt', 'crashes')
if not known[1] then return {'UNKNOWN'} end
local signals = known[2] and cjson.decode(known[2]) or {}
for _, each in ipairs(signals) do
  if each.id == id then return {each.call == call and 'KEPT' or 'KNOWN'} end
end
if not live[known[1]] then return {'ENDED', known[1]} end
signals[#signals + 1] = {id = id, name = name, value = value, by = by, at = now, call = call}
local encoded = cjson.encode(signals)
if #signals > most or #encoded > most_bytes then return {'FULL'} end

redis.call('HSET', run, 'signals', encoded)
if known[1] ~= 'suspended' or known[3] ~= name or not known[4] then return {'KEPT'} end
redis.call('ZREM', delayed, place .. ':' .. run_id)
redis.call('ZREM', questions, run_id)
redis.call('HSET', run, 'state', 'pending',
  'entry', enqueue_entry(stream, streams, place, known[4], known[5], known[6]))
redis.call('HDEL', run, 'message', 'due_at', 'note', 'wait', 'question')
return {'WOKEN'}
