--[[
commit_transaction: record an outcome together with what its handler wrote and enqueued, or nothing of all that.
It stands behind the scripts that it calls: each is put in front of it as a function of KEYS and ARGV, by its name
in the table `scripts`. The first of them is the commit; its first write removes the entry, so that what follows is
not refused at the memory limit. Whatever could make one of the writes fail is looked at before.

KEYS
  stream  stream  {ns:shard}:stream:<queue>:<prio>  read: is the attempt still going on?
  own     any     {ns:shard}:app:<name>             one for each write: the application's own
  other   any     the keys of each script in turn   as their headers say
ARGV
  entry    str  the stream entry that is this attempt
  writes   int  how many writes follow, at most 100
  calls    int  how many scripts follow, the commit included, at most 101
  command, kind, adds, count, value  for each write: the command, the type that its key must have (or `any`), where it
           adds to a number (`key`, `field`, or empty), how many arguments follow, and these
  script, keys, args, argument  for each script: its name, how many keys and arguments it has, and its arguments
OUT
  REFUSED why  a key holds what the write cannot be applied to: nothing was written
               besides, what the commit answers: DONE when all is applied, now or by an earlier send; STALE when the
               attempt has been ended by somebody else, and then nothing was written
KEEPS I3 I4 I5 I6 I7 I9 I10
]]
local stream = KEYS[1]
local entry, writes, calls = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local mine = #redis.call('XPENDING', stream, 'workers', entry, entry, 1) == 1
local at, from, starts = 4, 2 + writes, {}
for i = 1, math.min(writes, 100) do
  local key, command, kind, adds, count = KEYS[1 + i], ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  local is, number = redis.call('TYPE', key).ok, nil
  if mine and is ~= 'none' and kind ~= 'any' and is ~= kind then
    return {'REFUSED', command .. ' needs a ' .. kind .. ', ' .. key .. ' is a ' .. is}
  end
  if mine and adds == 'key' then number = redis.call('GET', key) end
  if mine and adds == 'field' then number = redis.call('HGET', key, ARGV[at + 4]) end
  if number and number ~= '0' and (#number > 15 or not string.match(number, '^%-?[1-9]%d*$')) then
    return {'REFUSED', command .. ' needs a whole number of at most 15 digits, ' .. key .. ' has ' .. number}
  end
  starts[i], at = at, at + 4 + count
end

local reply
for i = 1, math.min(calls, 101) do
  local name, keys, args = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local answer = scripts[name]({unpack(KEYS, from, from + keys - 1)}, {unpack(ARGV, at + 3, at + 2 + args)})
  if i == 1 then reply = answer end
  if not mine then return reply end
  at, from = at + 3 + args, from + keys
end
for i = 1, math.min(writes, 100) do
  local start, count = starts[i], tonumber(ARGV[starts[i] + 3])
  redis.call(ARGV[start], KEYS[1 + i], unpack(ARGV, start + 4, start + 3 + count))
end
return reply
