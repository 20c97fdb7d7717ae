--[[
release_limits: give back what an attempt holds once it has ended: its entry is gone from its stream.

KEYS
  stream   stream  {ns:shard}:stream:<queue>:<prio>  read: is the entry there?
  limits   hash    {ns:shard}:limits                 loses a limit that nobody uses
  held     hash    {ns:shard}:held:<name>            \ for each limit: loses the run when it holds its slot for this entry
  waiting  zset    {ns:shard}:waiting:<name>         / read: does anybody wait?
ARGV
  run_id   str
  entry    str  the stream entry
  mark     str  what the slot is held for: `<place of the stream> <entry>`
  name     str  for each limit: what it counts under
OUT
  RELEASED n  how many slots were given back; those that are not held for this entry were left alone
  HELD        the attempt has not ended: nothing was written
KEEPS I3 I7 I9
]]
local stream, limits = KEYS[1], KEYS[2]
local run_id, entry, mark = ARGV[1], ARGV[2], ARGV[3]

if #redis.call('XRANGE', stream, entry, entry) > 0 then return {'HELD'} end
local released = 0
for i = 1, math.min((#KEYS - 2) / 2, 20) do
  local held, waiting, name = KEYS[2 * i + 1], KEYS[2 * i + 2], ARGV[i + 3]
  if redis.call('HGET', held, run_id) == mark then
    redis.call('HDEL', held, run_id)
    released = released + 1
  end
  if redis.call('EXISTS', held) == 0 and redis.call('EXISTS', waiting) == 0 then redis.call('HDEL', limits, name) end
end
return {'RELEASED', released}
