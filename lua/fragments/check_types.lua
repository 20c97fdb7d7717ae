--[[
check_types: end the script before its first write when a key has another type than its kind has. A script has no
rollback: met later, such a key would leave half of what the script writes. The sender puts the key aside and sends anew.

TAKES
  hashes   table  keys
  zsets    table  keys
  sets     table  keys, optional like those that follow
  lists    table  keys
  streams  table  keys
  strings  table  keys
GIVES
  nothing
]]
local function check_types(hashes, zsets, sets, lists, streams, strings)
  for _, checked in ipairs(hashes) do redis.call('HLEN', checked) end
  for _, checked in ipairs(zsets) do redis.call('ZCARD', checked) end
  for _, checked in ipairs(sets or {}) do redis.call('SCARD', checked) end
  for _, checked in ipairs(lists or {}) do redis.call('LLEN', checked) end
  for _, checked in ipairs(streams or {}) do redis.call('XLEN', checked) end
  for _, checked in ipairs(strings or {}) do redis.call('STRLEN', checked) end
end
