--[[
commit_transaction: record an outcome together with the writes and the enqueued runs of its handler, or none of them.
The loader puts the scripts that it calls in front of it, each as a function of KEYS and ARGV, by its name in the table
`scripts`. The first of them is the commit; its first write removes the entry, so that the later writes are not refused
at the memory limit. For a step it is `record_steps`, and the attempt goes on. Everything that could make one of the
writes fail is checked before the first of them.

USES read_from check_types
KEYS
  stream  stream  {ns:shard}:stream:<queue>:<prio>  read: is the attempt still going on?
  own     any     {ns:shard}:app:<name>             one for each write: the application's own
  checked any     each of those that the scripts after the commit write, by type in the order of the five counts
  other   any     the keys of each script in turn   as their headers say
ARGV
  entry    str  the stream entry that is this attempt
  writes   int  how many writes follow, at most 100
  calls    int  how many scripts follow, the commit included, at most 101
  hashes, zsets, sets, streams, strings  int  how many keys of each type the scripts that follow the commit write
  command, kind, adds, count, value  for each write: the command, the type that its key must have (or `any`), where it
           adds to a number (`key`, `field`, or empty), how many arguments follow, and these
  script, keys, args, argument  for each script: its name, how many keys and arguments it has, and its arguments
OUT
  REFUSED why  a key holds a value that the write cannot be applied to: nothing was written
               besides, the reply of the commit: DONE when all is applied, now or by an earlier send; STALE when
               another caller has ended the attempt, and then nothing was written
KEEPS I3 I4 I5 I6 I7 I9 I10
]]
local stream, next_keys = KEYS[1], read_from(KEYS, 2)
local entry, writes, calls = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local hashes, zsets, sets, streams, strings = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local next_args = read_from(ARGV, 9)

local mine = redis.call('EXISTS', stream) == 1 and #redis.call('XPENDING', stream, 'workers', entry, entry, 1) == 1
local checked = {}
for i = 1, math.min(writes, 100) do
  local key, command, kind, adds, count = next_keys(1), next_args(4)
  local args = {next_args(tonumber(count))}
  local is, number = redis.call('TYPE', key).ok, nil
  if mine and is ~= 'none' and kind ~= 'any' and is ~= kind then
    return {'REFUSED', command .. ' needs a ' .. kind .. ', ' .. key .. ' is a ' .. is}
  end
  if mine and adds == 'key' then number = redis.call('GET', key) end
  if mine and adds == 'field' then number = redis.call('HGET', key, args[1]) end
  -- Redis refuses to add to a number that is too long or no number, and by then the commit would have been written.
  if number and number ~= '0' and (#number > 15 or not string.match(number, '^%-?[1-9]%d*$')) then
    return {'REFUSED', command .. ' needs a whole number of at most 15 digits, ' .. key .. ' has ' .. number}
  end
  checked[i] = {command, key, unpack(args)}
end
check_types({next_keys(hashes)}, {next_keys(zsets)}, {next_keys(sets)}, nil, {next_keys(streams)}, {next_keys(strings)})

local reply
for i = 1, math.min(calls, 101) do
  local name, keys, args = next_args(3)
  local answer = scripts[name]({next_keys(tonumber(keys))}, {next_args(tonumber(args))})
  if i == 1 then reply = answer end
  -- A step whose record is not written now: an earlier send has written it with all that follows, or nobody may.
  if not mine or reply.unwritten then return reply end
end
for _, write in ipairs(checked) do
  redis.call(unpack(write))
end
return reply
