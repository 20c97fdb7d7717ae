--[[
find_signal: find the first signal of a name that no wait has taken.

TAKES
  signals  str  JSON of the signals of a run, as its record has them; false for none
  name     str  the name
GIVES
  true when there is one
]]
local function find_signal(signals, name)
  if not signals or name == '' then return false end
  for _, each in ipairs(cjson.decode(signals)) do
    if each.name == name and each.taken ~= 1 then return true end
  end
  return false
end
