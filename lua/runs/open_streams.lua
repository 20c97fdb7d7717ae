--[[
open_streams: make sure that streams and their groups exist, so that a worker can wait for all of them at once.

KEYS
  streams  set     {ns:shard}:streams                   places of the streams that exist
  stream   stream  {ns:shard}:stream:<queue>:<prio>     for each place; created with its group when absent
ARGV
  place    str  for each stream
OUT
  OPEN n  how many were created; up to 100 in one call
KEEPS I3 I9
]]
local streams = KEYS[1]
local created = 0
for i = 1, math.min(#ARGV, 100) do
  local stream, place = KEYS[i + 1], ARGV[i]
  local grouped = redis.call('EXISTS', stream) == 1 and #redis.call('XINFO', 'GROUPS', stream) > 0
  if not grouped then
    redis.call('XGROUP', 'CREATE', stream, 'workers', '0', 'MKSTREAM')
    created = created + 1
  end
  redis.call('SADD', streams, place)
end
return {'OPEN', created}
