--[[
enqueue_entry: append the entry of a run to its stream. A stream that does not exist is created with its consumer group
and entered into the set of streams in the same step, so that every stream that exists can be read by a group.

TAKES
  stream   stream  {ns:shard}:stream:<queue>:<prio>  gets the entry
  streams  set     {ns:shard}:streams                gets the place of a stream that is created
  place    str     `<queue>:<prio>`, as the set of streams has it
  message  str     encoded message of the run
  number   int     of the attempt that the entry stands for; 0 when it is absent
  crashes  int     lost attempts so far; 0 when it is absent
GIVES
  the id of the entry
]]
local function enqueue_entry(stream, streams, place, message, number, crashes)
  -- As texts: the server prints each number that a script hands over, which is 4 % of an enqueue.
  number, crashes = number or '0', crashes or '0'
  -- NOMKSTREAM first: of nearly all entries the stream exists, and then one command is enough.
  local entry = redis.call('XADD', stream, 'NOMKSTREAM', '*', 'm', message, 'n', number, 'c', crashes)
  if not entry then
    -- The set first: when it has the wrong type, nothing is written yet.
    redis.call('SADD', streams, place)
    redis.call('XGROUP', 'CREATE', stream, 'workers', '0', 'MKSTREAM')
    entry = redis.call('XADD', stream, '*', 'm', message, 'n', number, 'c', crashes)
  end
  return entry
end
