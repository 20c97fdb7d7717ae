--[[
release_tasks: create the runs of an occurrence. A task without predecessors is put onto its stream, or into the delayed
set when its occurrence starts later; a task with predecessors keeps its message until the last of them has succeeded.

USES enqueue_entry
TAKES
  tasks      int       how many tasks there are, at most 50
  next_keys  function  reader that gives the run and the stream of each task
  next_args  function  reader that gives run_id, handler, place, message, waits of each task; waits is how many tasks
                       must succeed before
  occ_id     str
  now        int       ms
  streams    set       {ns:shard}:streams  places of the streams that exist
  delayed    zset      {ns:shard}:delayed  optional: gets the runs when they start later
  start_at   str       optional: ms from which on the first runs start, 0 for at once
GIVES
  nothing
]]
local function release_tasks(tasks, next_keys, next_args, occ_id, now, streams, delayed, start_at)
  for _ = 1, tasks do
    local run, stream = next_keys(2)
    local run_id, handler, place, message, waits = next_args(5)
    redis.call('HSET', run, 'state', 'pending', 'handler', handler, 'place', place, 'enqueued_at', now,
      'occurrence', occ_id)
    if waits ~= '0' then
      redis.call('HSET', run, 'waits', waits, 'message', message)
    elseif delayed and start_at ~= '0' then
      redis.call('HSET', run, 'state', 'scheduled', 'due_at', start_at, 'message', message, 'attempt', '0', 'crashes', '0')
      redis.call('ZADD', delayed, start_at, place .. ':' .. run_id)
    else
      redis.call('HSET', run, 'entry', enqueue_entry(stream, streams, place, message))
    end
  end
end
