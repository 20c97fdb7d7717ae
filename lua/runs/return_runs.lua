--[[
return_runs: put fetched entries that have not begun at the front of their queue again, in their order, at most 100 in
one call. Their attempts do not count, and the permits that they hold go with them.

USES read_from enqueue_entry check_all_types
KEYS
  streams  set     {ns:shard}:streams                places of the streams that exist
  stream   stream  {ns:shard}:stream:<queue>:<prio>  \ for each run: loses its entry;
  run      hash    {ns:shard}:run:<run_id>           | of each: pending with its next entry;
  front    stream  {ns:shard}:stream:<queue>:10      / gets the entry
  held     hash    {ns:shard}:held:<name>            \ behind each run, its limits: the permit is for the next entry
                   {ns:shard}:rate:<name>            / from now on; for a rate a zset: the start counts as before
ARGV
  count    int  runs in this call
  entry    str  \ for each run: the stream entry that it has now,
  place    str  | of each front,
  mark     str  | what the permits of each are held for: `<place of the stream> <entry>`,
  run_id   str  | of each,
  message  str  | of each,
  number   int  | of each attempt,
  crashes  int  | lost attempts of each so far,
  limits   int  / how many limits it counts under
  per      int  for each of these limits: ms, 0 for at a time
OUT
  RETURNED canceled  given back, now or before; then the positions, from 1, of runs that are to be cancelled: end them
                     so, nothing was written for them. An entry that another caller has ended is passed over
KEEPS I3 I4 I6 I7 I9
]]
local streams, count = KEYS[1], ARGV[1]
local next_keys, next_args = read_from(KEYS, 2), read_from(ARGV, 2)

check_all_types(KEYS)
local reply = {'RETURNED'}
for i = 1, math.min(tonumber(count), 100) do
  local stream, run, front = next_keys(3)
  local entry, place, mark, run_id, message, number, crashes, limits = next_args(8)
  local permits, pers = {next_keys(tonumber(limits))}, {next_args(tonumber(limits))}
  local known = redis.call('HMGET', run, 'entry', 'cancel')
  if known[1] == entry and known[2] then
    reply[#reply + 1] = i
  elseif redis.call('XACK', stream, 'workers', entry) == 1 then
    redis.call('XDEL', stream, entry)
    local again = enqueue_entry(front, streams, place, message, number, crashes)
    if known[1] then redis.call('HSET', run, 'state', 'pending', 'entry', again, 'attempt', number) end
    local next_mark = place .. ' ' .. again
    for j, held in ipairs(permits) do
      local started_at = pers[j] ~= '0' and redis.call('ZSCORE', held, mark)
      if started_at then
        redis.call('ZADD', held, started_at, next_mark)
        redis.call('ZREM', held, mark)
      elseif pers[j] == '0' and redis.call('HGET', held, run_id) == mark then
        redis.call('HSET', held, run_id, next_mark)
      end
    end
  end
end
return reply
