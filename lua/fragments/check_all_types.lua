--[[
check_all_types: end the script before its first write when any of its keys has another type than its kind has. It needs a
microsecond for each key: scripts that every run passes check by check_types, or by the order of their writes.

TAKES
  keys  table  all keys of the script
GIVES
  nothing
]]
local function check_all_types(keys)
  local commands = {}
  for command, kinds in pairs({
    HLEN = 'limits job versions backfill occurrence run attempt group results held worker ticker steps suspects outcomes',
    ZCARD = 'due delayed dead deadlines expected chores cancels holds workers tickers history live queued waiting rate '
      .. 'promised parked questions unknown',
    SCARD = 'streams starts paused closed',
    LLEN = 'audit log changes ended',
    XLEN = 'stream quarantine',
    STRLEN = 'unique identity joined',
  }) do
    for kind in string.gmatch(kinds, '%l+') do commands[kind] = command end
  end
  for _, key in ipairs(keys) do
    local command = commands[string.match(key, '}:(%l+)') or '']
    if command then redis.call(command, key) end
  end
end
