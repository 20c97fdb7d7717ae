--[[
purge_ended: delete runs that ended long ago, before their retention is over, with their attempts, logs and steps; at most
100 in one call. Each is judged again here: the caller may have read it long before.

USES read_from check_all_types
KEYS
  dead        zset  {ns:shard}:dead                  loses the runs that are dead letters
  run         hash  {ns:shard}:run:<run_id>          \ for each run: deleted
  steps       hash  {ns:shard}:steps:<run_id>        \ deleted with it
  occurrence  hash  {ns:shard}:occurrence:<occ_id>   / read: one that has not ended keeps its runs
  attempt     hash  {ns:shard}:attempt:<attempt_id>  \ for each attempt of a run, right behind its run: deleted
  log         list  {ns:shard}:log:<attempt_id>      /
ARGV
  before    int  ms; runs that ended later stay
  states    str  a blank, and each state that is purged with a blank behind it
  letters   str  1: dead letters are purged, whatever their state; 0: they stay
  run_id    str  \ for each run
  attempts  int  / how many attempts are given, at most 100
OUT
  PURGED left  deleted, now or by an earlier send; then the positions, from 1, of runs that may not be purged: of those
               nothing was written
KEEPS I9 I10
]]
local dead, next_keys = KEYS[1], read_from(KEYS, 2)
local before, states, letters, next_args = tonumber(ARGV[1]), ARGV[2], ARGV[3], read_from(ARGV, 4)
local count = math.min((#ARGV - 3) / 2, 100)

check_all_types(KEYS)
local reply = {'PURGED'}
for i = 1, count do
  local run, steps, occurrence = next_keys(3)
  local run_id, attempts = next_args(2)
  local ended = redis.call('HMGET', run, 'state', 'ended_at')
  local is_letter = redis.call('ZSCORE', dead, run_id)
  local chosen = ended[1] and string.find(states, ' ' .. ended[1] .. ' ', 1, true)
  if is_letter then chosen = letters == '1' end
  local is_over = tonumber(ended[2] or '') and tonumber(ended[2]) <= before and redis.call('PTTL', run) >= 0
  local state = redis.call('HGET', occurrence, 'state')
  local is_live = state == 'pending' or state == 'running' or state == 'queued'
  local gone = chosen and is_over and not is_live
  if gone then
    redis.call('ZREM', dead, run_id)
    redis.call('DEL', run, steps)
  elseif redis.call('EXISTS', run) == 1 then
    reply[#reply + 1] = i
  end
  for _ = 1, math.min(tonumber(attempts), 100) do
    local attempt, log = next_keys(2)
    if gone then redis.call('DEL', attempt, log) end
  end
end
return reply
