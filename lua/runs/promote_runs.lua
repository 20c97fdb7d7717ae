--[[
promote_runs: move delayed runs that are due onto their streams, at most 100 in one call.

KEYS
  delayed  zset    {ns:shard}:delayed   loses the runs
  streams  set     {ns:shard}:streams   places of the streams that exist
  run      hash    {ns:shard}:run:<run_id>           \ one pair
  stream   stream  {ns:shard}:stream:<queue>:<prio>  / for each run
ARGV
  now      int  ms
  run_id   str  \ one pair
  place    str  / for each run
OUT
  PROMOTED n  how many were moved; the others were moved, cancelled or put off by somebody else
KEEPS I3 I7
]]
local delayed, streams = KEYS[1], KEYS[2]
local now = tonumber(ARGV[1])

local moved = 0
for i = 1, math.min((#KEYS - 2) / 2, 100) do
  local run, stream, run_id, place = KEYS[2 * i + 1], KEYS[2 * i + 2], ARGV[2 * i], ARGV[2 * i + 1]
  local member = place .. ':' .. run_id
  local due_at = tonumber(redis.call('ZSCORE', delayed, member) or '')
  if due_at and due_at <= now then
    local held = redis.call('HMGET', run, 'message', 'attempt', 'crashes')
    if held[1] then
      if redis.call('EXISTS', stream) == 0 then redis.call('XGROUP', 'CREATE', stream, 'workers', '0', 'MKSTREAM') end
      redis.call('SADD', streams, place)
      local entry = redis.call('XADD', stream, '*', 'm', held[1], 'n', held[2], 'c', held[3])
      redis.call('HSET', run, 'state', 'pending', 'entry', entry)
      redis.call('HDEL', run, 'message', 'due_at', 'note')
      moved = moved + 1
    end
    redis.call('ZREM', delayed, member)
  end
end
return {'PROMOTED', moved}
