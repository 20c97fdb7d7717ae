--[[
promote_runs: move delayed runs that are due onto their streams, at most 100 in one call.

USES read_from enqueue_entry
KEYS
  delayed    zset  {ns:shard}:delayed    loses the runs
  streams    set   {ns:shard}:streams    places of the streams that exist
  questions  zset  {ns:shard}:questions  loses those that have asked people in vain
  run      hash    {ns:shard}:run:<run_id>           \ one pair
  stream   stream  {ns:shard}:stream:<queue>:<prio>  / for each run
ARGV
  now      int  ms
  run_id   str  \ one pair
  place    str  / for each run
OUT
  PROMOTED n  how many were moved; the others were moved, cancelled or put off by another caller
KEEPS I3 I7
]]
local delayed, streams, questions = KEYS[1], KEYS[2], KEYS[3]
local runs, next_keys = math.min((#KEYS - 3) / 2, 100), read_from(KEYS, 4)
local now, next_args = tonumber(ARGV[1]), read_from(ARGV, 2)

-- What is read of all runs, and of each stream once, comes before the first write: a key of the wrong type ends the
-- script here. What removes comes behind what grows: at its memory limit the server refuses the call whole.
redis.call('SCARD', streams)
local due, met = {}, {}
for _ = 1, runs do
  local run, stream = next_keys(2)
  local run_id, place = next_args(2)
  local member = place .. ':' .. run_id
  local due_at = not met[member] and tonumber(redis.call('ZSCORE', delayed, member) or '')
  -- The caller has read the set before: another ticker may have moved the run since, or it may have been put off.
  if due_at and due_at <= now then
    local kept = redis.call('HMGET', run, 'message', 'attempt', 'crashes', 'question')
    if kept[1] and not met[stream] then redis.call('XLEN', stream) end
    if kept[4] then redis.call('ZCARD', questions) end
    met[member], met[stream] = true, true
    due[#due + 1] = {run, stream, run_id, place, member, kept}
  end
end
local moved, gone = 0, {}
for at, each in ipairs(due) do
  local run, stream, run_id, place, member, kept = unpack(each)
  gone[at] = member
  if kept[1] then
    redis.call('HSET', run, 'state', 'pending', 'entry',
      enqueue_entry(stream, streams, place, kept[1], kept[2], kept[3]))
    if kept[4] then redis.call('ZREM', questions, run_id) end
    redis.call('HDEL', run, 'message', 'due_at', 'note', 'wait', 'question')
    moved = moved + 1
  end
end
if #gone > 0 then redis.call('ZREM', delayed, unpack(gone)) end
return {'PROMOTED', moved}
