--[[
add_outcomes: count runs that have ended, by state, queue and task. Each day (UTC) has counts of its own, which expire.

TAKES
  outcomes  hash   {ns:shard}:outcomes:<day>  counted up
  prefix    str    what the fields begin with
  names     table  the rest of the field of each run, at most 100; together `<state> <queue> <task>`
GIVES
  nothing
]]
local function add_outcomes(outcomes, prefix, names)
  local fields, counts = {}, {}
  for _, name in ipairs(names) do
    local seen = counts[name]
    if not seen then fields[#fields + 1] = name end
    counts[name] = (seen or 0) + 1
  end
  for _, name in ipairs(fields) do
    -- pcall: neither a key of the wrong type nor the memory limit may undo or half finish the end of a run.
    local total = redis.pcall('HINCRBY', outcomes, prefix .. name, counts[name])
    -- The first of its kind on this day.
    if total == counts[name] then
      redis.call('PEXPIRE', outcomes, 2764800000)
      if redis.call('HLEN', outcomes) > 5000 then
        redis.call('HDEL', outcomes, prefix .. name)
        redis.pcall('HINCRBY', outcomes, string.match(prefix .. name, '^%S+') .. ' * *', counts[name])
      end
    end
  end
end
