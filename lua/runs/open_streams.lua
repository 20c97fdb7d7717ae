--[[
open_streams: make sure that streams and their groups exist, so that a worker can wait for all of them at once.

USES read_from check_all_types
KEYS
  streams  set     {ns:shard}:streams                   places of the streams that exist
  stream   stream  {ns:shard}:stream:<queue>:<prio>     for each place; created with its group when absent
ARGV
  place    str  for each stream
OUT
  OPEN n  how many were created; up to 100 in one call
KEEPS I3 I9
]]
local streams, next_keys = KEYS[1], read_from(KEYS, 2)
local count, next_args = math.min(#ARGV, 100), read_from(ARGV, 1)

check_all_types(KEYS)
local created = 0
for _ = 1, count do
  local stream, place = next_keys(1), next_args(1)
  local grouped = redis.call('EXISTS', stream) == 1 and #redis.call('XINFO', 'GROUPS', stream) > 0
  if not grouped then
    redis.call('XGROUP', 'CREATE', stream, 'workers', '0', 'MKSTREAM')
    created = created + 1
  end
  -- A worker that starts where all is open writes nothing, so that it starts at the memory limit.
  if redis.call('SISMEMBER', streams, place) == 0 then redis.call('SADD', streams, place) end
end
return {'OPEN', created}
