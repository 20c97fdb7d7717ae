--[[
read_from: read a list from the front to the back, so that no script counts positions in KEYS or ARGV.

TAKES
  list   table  KEYS or ARGV
  first  int    position of the first value that is read
GIVES
  function(count), which returns the next `count` values, or all values that are left when `count` is absent
]]
local function read_from(list, first)
  local at = first
  return function(count)
    local from = at
    at = count and from + count or #list + 1
    return unpack(list, from, at - 1)
  end
end
