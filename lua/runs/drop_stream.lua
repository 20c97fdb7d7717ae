--[[
drop_stream: delete the stream of a place that nobody uses: it is empty, and no worker reads it. A run that is enqueued
later creates it again; a worker that was about to read it opens it again.

USES check_all_types
KEYS
  stream   stream  {ns:shard}:stream:<queue>:<prio>  deleted
  streams  set     {ns:shard}:streams                loses the place
ARGV
  place  str  `<queue>:<prio>`, as the set of streams has it
OUT
  DROPPED  it is gone, now or before
  USED     there are entries, or workers that read it: nothing was written
KEEPS I3 I9
]]
local stream, streams = KEYS[1], KEYS[2]
local place = ARGV[1]

check_all_types(KEYS)
if redis.call('EXISTS', stream) == 1 then
  if redis.call('XLEN', stream) > 0 then return {'USED'} end
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    -- Names and values take turns; a consumer is there from a worker's first read until the worker is forgotten.
    for at = 1, math.min(#group, 20), 2 do
      if group[at] == 'consumers' and group[at + 1] > 0 then return {'USED'} end
    end
  end
  redis.call('DEL', stream)
end
redis.call('SREM', streams, place)
return {'DROPPED'}
