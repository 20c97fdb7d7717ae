--[[
owns_entry: tell whether an attempt that succeeded is its worker's to end, when a bundle was acknowledged of which not
all entries were in flight. The stream tells: all others who end an attempt remove its entry together with the
acknowledgement, so an entry that is still there was acknowledged by this bundle.

TAKES
  stream    stream  {ns:shard}:stream:<queue>:<prio>
  entry     str     the stream entry
  attempt   hash    {ns:shard}:attempt:<attempt_id>   read when the entry is gone
  worker    str     the worker that ran it
  ended_at  int     ms
GIVES
  true: the end is to be written. nil: an earlier send has written it. false: another caller has ended the attempt
]]
local function owns_entry(stream, entry, attempt, worker, ended_at)
  if #redis.call('XRANGE', stream, entry, entry) == 1 then return true end
  local before = redis.call('HMGET', attempt, 'state', 'worker', 'ended_at')
  if before[1] ~= 'succeeded' or before[2] ~= worker or before[3] ~= ended_at then return false end
  return nil
end
