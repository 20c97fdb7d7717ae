--[[
check_tasks: the same as check_types for the runs and streams of an occurrence.

TAKES
  tasks       int       how many tasks there are, at most 50
  check_keys  function  reader that gives the run and the stream of each task; the run twice where no stream is written
GIVES
  nothing
]]
local function check_tasks(tasks, check_keys)
  for _ = 1, tasks do
    local next_run, next_stream = check_keys(2)
    redis.call('HLEN', next_run)
    if next_stream ~= next_run then redis.call('XLEN', next_stream) end
  end
end
