--[[
register_jobs: store up to 100 new jobs, each as register_job stores the first version of a job, at a third of the cost.
A job of which the server has any key is left to that script.

USES read_from append_audit
KEYS
  due       zset    {ns:shard}:due                job id by the ms of its next due instant
  expected  zset    {ns:shard}:expected           job id by the ms by which it has to complete
  wake      channel {ns:shard}:wake               gets one message, in the cases in which register_job sends one
  job       hash    {ns:shard}:job:<job_id>       \ created
  versions  hash    {ns:shard}:versions:<job_id>  \ created: the fingerprint and where its time begins
  history   zset    {ns:shard}:history:<job_id>   / read: has a removed job of this name left anything?
  audit     list    {ns:shard}:audit:<job_id>     / created with one line; four keys for each
ARGV
  cursor    int  Unix seconds: instants up to here count as decided
  now       int  ms
  by        str  the author of the change
  owner     str  the app that declares the jobs; empty for none
  job_id, definition, fingerprint, next_due, expect_by  for each, as for register_job
OUT
  CREATED left  created, but for a list of positions, from 1: jobs of which there is a key, for which nothing was written
KEEPS I1 I2 I9
]]
local due, expected, wake, cursor, now, by, owner = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local count, next_keys, next_args = math.min((#KEYS - 3) / 4, 100), read_from(KEYS, 4), read_from(ARGV, 5)
local all_keys = read_from(KEYS, 4)

-- Keys of their own are absent where anything is written, so these two are all whose type may be wrong.
redis.call('ZCARD', due)
redis.call('ZCARD', expected)
local left, next_dues, is_created, soon = {}, {}, {}, false
-- One look at all of them replaces one at each: nearly always none is there.
local any = count > 0 and redis.call('EXISTS', all_keys()) > 0
for i = 1, count do
  local job, versions, history, audit = next_keys(4)
  local job_id, definition, fingerprint, next_due, expect_by = next_args(5)
  if is_created[job_id] or any and redis.call('EXISTS', job, versions, history, audit) > 0 then
    left[#left + 1] = i
  else
    redis.call('HSET', versions, '1:mark', fingerprint, '1:after', cursor, '1:at', now, 'last', '1')
    redis.call('HSET', job, 'version', '1', 'fingerprint', fingerprint, 'definition', definition, 'cursor', cursor,
      owner ~= '' and 'owner' or 'version', owner ~= '' and owner or '1')
    append_audit(audit, now, by, 'created', 'version 1')
    if expect_by ~= '0' then redis.call('ZADD', expected, 'NX', expect_by, job_id) end
    next_dues[#next_dues + 1], next_dues[#next_dues + 2], is_created[job_id] = next_due, job_id, true
    soon = soon or next_due - now < 5000 or (expect_by ~= '0' and expect_by - now < 5000)
  end
end
if #next_dues > 0 then
  redis.call('ZADD', due, unpack(next_dues))
  -- Tickers sleep until the next instant they know; before they look again by themselves this one may have passed.
  if soon or is_created[redis.call('ZRANGE', due, 0, 0)[1]] then redis.call('PUBLISH', wake, 'job') end
end
return {'CREATED', left}
