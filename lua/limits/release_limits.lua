--[[
release_limits: give back the permits of an attempt that has ended, that is, whose entry is gone from its stream.

USES read_from
KEYS
  stream   stream  {ns:shard}:stream:<queue>:<prio>  read: is the entry there?
  limits   hash    {ns:shard}:limits                 loses a limit that no run holds or waits for
  held     hash    {ns:shard}:held:<name>            \ for each limit: loses the run when its permit is for this entry
  waiting  zset    {ns:shard}:waiting:<name>         / read: does any run wait?
ARGV
  run_id   str
  entry    str  the stream entry; empty for a run that is in no stream
  mark     str  what the permit is held for: `<place of the stream> <entry>`
  name     str  for each limit: the name it counts under
OUT
  RELEASED n  how many permits were given back; permits that are held for another entry were left
  HELD        the attempt has not ended: nothing was written
KEEPS I3 I7 I9
]]
local stream, limits = KEYS[1], KEYS[2]
local count, next_keys = math.min((#KEYS - 2) / 2, 20), read_from(KEYS, 3)
local run_id, entry, mark = ARGV[1], ARGV[2], ARGV[3]
local next_args = read_from(ARGV, 4)

if entry ~= '' and #redis.call('XRANGE', stream, entry, entry) > 0 then return 'HELD' end
local released = 0
for _ = 1, count do
  local held, waiting = next_keys(2)
  local name = next_args(1)
  -- The run may hold a permit for its next entry by now: only the permit of this entry is given back.
  if redis.call('HGET', held, run_id) == mark then
    redis.call('HDEL', held, run_id)
    released = released + 1
  end
  if redis.call('EXISTS', held) == 0 and redis.call('EXISTS', waiting) == 0 then
    -- pcall: the permit is given back by now, and a name that is left in a key of the wrong type harms nobody.
    redis.pcall('HDEL', limits, name)
  end
end
return {'RELEASED', released}
