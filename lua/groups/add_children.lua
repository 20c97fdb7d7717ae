--[[
add_children: give a run that maps its next children, at most 100 in one call. They are added in order and counted, so
that a parent that comes back after a crash adds only the missing ones.

USES read_from enqueue_entry check_types
KEYS
  parent   hash    {ns:shard}:run:<run_id>           is the attempt that maps still going on? Notes that it maps
  group    hash    {ns:shard}:group:<group_id>       created by the first call; counts what was added; expires
  stream   stream  {ns:shard}:stream:<queue>:<prio>  gets the entries
  streams  set     {ns:shard}:streams                places of the streams that exist
  run      hash    {ns:shard}:run:<run_id>           for each child: created
ARGV
  entry     str  the stream entry that is the parent's attempt
  first     int  index of the first child of this call
  failure   str  strategy of the group, kept from the first call on
  group_id  str
  handler   str  name of the callable
  place     str  `<queue>:<prio>`
  now       int  ms
  hold_ms   int  how long the group is kept when nothing happens to it
  maps      int  how many groups the parent has with this one
  message   str  for each child: its encoded message
OUT
  ADDED n  how many children the group has now
  STALE    the attempt that maps has ended, or the group is gone: nothing was written
KEEPS I3 I4 I7 I9
]]
local parent, group, stream, streams = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local children, next_keys = math.min(#KEYS - 4, 100), read_from(KEYS, 5)
local entry, first, failure, group_id = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local handler, place, now, hold_ms, maps = ARGV[5], ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[9])
local next_args = read_from(ARGV, 10)

local known = redis.call('HMGET', parent, 'entry', 'state', 'maps')
if known[1] ~= entry or (known[2] ~= 'pending' and known[2] ~= 'running') then return {'STALE'} end
local added = tonumber(redis.call('HGET', group, 'added') or 0)
if added < first then return {'STALE'} end
check_types({}, {}, {streams}, {}, {stream})
-- Only those that an earlier send has created exist: one look at all of them replaces one at each.
local runs = {next_keys(children)}
if #runs > 0 and redis.call('EXISTS', unpack(runs)) > 0 then check_types(runs, {}) end
if tonumber(known[3] or 0) < maps then redis.call('HSET', parent, 'maps', maps) end
redis.call('HSETNX', group, 'failure', failure)
for i = 1, children do
  local run, message = runs[i], next_args(1)
  -- An earlier send, or the attempt before this one, has created the children below `added`: they must not run twice.
  if first + i > added then
    redis.call('HSET', run, 'state', 'pending', 'handler', handler, 'place', place, 'enqueued_at', now,
      'group', group_id, 'entry', enqueue_entry(stream, streams, place, message))
  end
end
added = math.max(added, first + children)
redis.call('HSET', group, 'added', added)
redis.call('PEXPIRE', group, hold_ms)
return {'ADDED', added}
