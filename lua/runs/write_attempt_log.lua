--[[
write_attempt_log: store the log lines and the progress of a handler that is being executed with its attempt.

USES read_from check_all_types
KEYS
  run      hash  {ns:shard}:run:<run_id>          read: is it still this attempt?
  attempt  hash  {ns:shard}:attempt:<attempt_id>  gets the progress and the number of lines written
  log      list  {ns:shard}:log:<attempt_id>      gets the lines; goes with its expiry
ARGV
  entry      str  the stream entry that is this attempt
  progress   str  JSON that ends with its number `n`, older ones are dropped; empty leaves it as it is
  first      int  number of the first line that follows, within the attempt
  keep       int  how many lines are kept, the last ones
  expiry_ms  int  how long the lines are kept from now on
  line       str  each line as JSON, at most 100
OUT
  NOTED  kept, now or by an earlier send
  STALE  the attempt has ended: nothing was written
KEEPS I6 I7 I9
]]
local run, attempt, log = KEYS[1], KEYS[2], KEYS[3]
local entry, progress, first, keep, expiry_ms = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local count, next_lines = math.min(#ARGV - 5, 100), read_from(ARGV, 6)

check_all_types(KEYS)
local current = redis.call('HMGET', run, 'entry', 'state')
if current[1] ~= entry or (current[2] ~= 'pending' and current[2] ~= 'running') then return {'STALE'} end

local known = redis.call('HMGET', attempt, 'lines', 'progress')
local have = tonumber(known[1] or 0)
-- An earlier send behind a later one, such as that of the outcome: it knows fewer lines to keep, or an older progress.
if first + count < have then return {'NOTED'} end
local number, newest = string.match(progress, '"n":(%d+)}$'), string.match(known[2] or '', '"n":(%d+)}$')
if progress ~= '' and tonumber(number or 0) >= tonumber(newest or 0) then
  redis.call('HSET', attempt, 'progress', progress)
end
-- A gap: the lines in between were dropped unsent, since more came than are kept. The older lines would seem adjacent.
-- Lines without a number on record are those of an attempt that was interrupted, and begun anew under its number.
if first > have or have == 0 then redis.call('DEL', log) end
-- An earlier send whose reply was lost may have written the first of these lines.
local written = math.max(have - first, 0)
if count > written then
  next_lines(written)
  redis.call('RPUSH', log, next_lines(count - written))
  redis.call('HSET', attempt, 'lines', first + count)
end
redis.call('LTRIM', log, -keep, -1)
redis.call('PEXPIRE', log, expiry_ms)
return {'NOTED'}
