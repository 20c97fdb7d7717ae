--[[
take_signal: mark a signal as taken by a wait, and drop its value, which the record of the wait has.

TAKES
  run      hash  {ns:shard}:run:<run_id>  has the signals
  signals  str   JSON of the signals of the run
  id       str   the signal; empty for none
GIVES
  nothing
]]
local function take_signal(run, signals, id)
  if not signals or id == '' then return end
  local all = cjson.decode(signals)
  for _, each in ipairs(all) do
    if each.id == id then each.taken, each.value = 1, nil end
  end
  redis.call('HSET', run, 'signals', cjson.encode(all))
end
