--[[
acknowledge_all: acknowledge the entries of a bundle of attempts. Nearly always all of them were in flight; otherwise
`owns_entry` tells for each whose it is.

USES check_types
TAKES
  stream    stream  {ns:shard}:stream:<queue>:<prio>  its entries are pending no more
  entries   table   the entries, one for each run
  attempts  table   the keys of the attempts
  runs      int     how many there are, at most 100
GIVES
  true: all were in flight, and are the caller's to end
]]
local function acknowledge_all(stream, entries, attempts, runs)
  -- An attempt is on record before its end only when it took long: one look at all of them replaces one at each.
  if redis.call('EXISTS', unpack(attempts)) > 0 then
    check_types({unpack(attempts)}, {})
  end
  -- The fence, for all of them at once.
  return redis.call('XACK', stream, 'workers', unpack(entries, 1, runs)) == runs
end
