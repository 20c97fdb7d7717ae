--[[
leave_stream: remove the entries of runs that have succeeded, list and count these runs, and give those back that could
not be written: they are in flight again, and the same worker's.

USES list_ended add_outcomes
TAKES
  stream    stream  {ns:shard}:stream:<queue>:<prio>  loses the entries
  gone      table   the entries to remove, at most 100
  broken    table   the entries of runs that could not be written
  worker    str     the worker that ran them
  ended     list    {ns:shard}:ended:succeeded        lists the runs
  runs      table   the keys of the runs
  outcomes  hash    {ns:shard}:outcomes:<day>         counts the runs
  queue     str     the queue of all of them
  tasks     table   the name of the task of each run
GIVES
  nothing
]]
local function leave_stream(stream, gone, broken, worker, ended, runs, outcomes, queue, tasks)
  if #gone > 0 then redis.call('XDEL', stream, unpack(gone)) end
  local listed = {}
  -- The id stands behind the same prefix in the key of each run.
  local id_at = runs[1] and #string.match(runs[1], '^.-:run:') + 1
  for i, run in ipairs(runs) do listed[i] = string.sub(run, id_at) end
  list_ended(ended, listed)
  add_outcomes(outcomes, 'succeeded ' .. queue .. ' ', tasks)
  for _, entry in ipairs(broken) do
    redis.call('XCLAIM', stream, 'workers', worker, 0, entry, 'FORCE', 'JUSTID')
  end
end
