--[[
forget_occurrence: remove an occurrence that has ended from its job's history, with the records of its runs and
attempts, up to a hundred records in one call.

USES read_from check_all_types
KEYS
  occurrence  hash  {ns:shard}:occurrence:<occ_id>  deleted with the last of its records
  history     zset  {ns:shard}:history:<job_id>     loses it then
  record      hash  {ns:shard}:run:<run_id> or {ns:shard}:attempt:<attempt_id>, for each: deleted
ARGV
  occ_id  str
  left    int  how many records a later call deletes
OUT
  FORGOTTEN  it is gone, now or before
  PARTLY     there are records left
  LIVE       it has not ended: nothing was written
KEEPS I9 I10
]]
local occurrence, history = KEYS[1], KEYS[2]
local records, next_keys = math.min(#KEYS - 2, 100), read_from(KEYS, 3)
local occ_id, left = ARGV[1], ARGV[2]

check_all_types(KEYS)
local state = redis.call('HGET', occurrence, 'state')
if state == 'pending' or state == 'running' or state == 'queued' then return {'LIVE'} end
for _ = 1, records do
  redis.call('DEL', (next_keys(1)))
end
if left ~= '0' then return {'PARTLY'} end
redis.call('DEL', occurrence)
redis.call('ZREM', history, occ_id)
return {'FORGOTTEN'}
