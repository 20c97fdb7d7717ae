--[[
take_from_source: remove a run from the place where it is, so that exactly one caller ends it. This removal is the fence
of a commit: of two callers that end one attempt (its worker, and the one that took its work over) one finds the entry.
It is also the first write, and a script whose first write is a removal may go on writing at the memory limit.

TAKES
  source   str     attempt (an entry in flight), fetched (one whose attempt has not begun), delayed, waiting (a task
                   that no other has released yet), stream (an entry that no worker has fetched)
  stream   stream  {ns:shard}:stream:<queue>:<prio>  loses the entry
  entry    str     the stream entry
  run      hash    {ns:shard}:run:<run_id>           loses its message when it is waiting
  delayed  zset    {ns:shard}:delayed                loses the member
  place    str     `<queue>:<prio>`
  run_id   str
GIVES
  0 when the run was not there (any more): then nothing was written
]]
local function take_from_source(source, stream, entry, run, delayed, place, run_id)
  if source == 'attempt' or source == 'fetched' then
    local taken = redis.call('XACK', stream, 'workers', entry)
    if taken == 1 then redis.call('XDEL', stream, entry) end
    return taken
  end
  if source == 'delayed' then return redis.call('ZREM', delayed, place .. ':' .. run_id) end
  if source == 'waiting' then
    return redis.call('HGET', run, 'state') == 'pending' and redis.call('HDEL', run, 'waits', 'message') or 0
  end
  -- An entry that a worker has fetched is that worker's: only an entry that is pending for no worker is taken.
  local free = redis.call('EXISTS', stream) == 1 and #redis.call('XPENDING', stream, 'workers', entry, entry, 1) == 0
  return free and redis.call('XDEL', stream, entry) or 0
end
