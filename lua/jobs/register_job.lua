--[[
register_job: store a new job, or a new version of a job.

USES read_from append_audit check_types
KEYS
  job       hash    {ns:shard}:job:<job_id>       created or changed; a pending definition goes
  versions  hash    {ns:shard}:versions:<job_id>  gets the fingerprint and where its time begins; the version before
                                                  ends, and its definition moves here. A removed job of this name has
                                                  left its versions here
  history   zset    {ns:shard}:history:<job_id>   keeps no expiry from a removal
  due       zset    {ns:shard}:due                job id by the ms of its next due instant
  chores    zset    {ns:shard}:chores             chores of tickers by ms: loses the update that was pending
  wake      channel {ns:shard}:wake               gets a message when nothing is due earlier, when it is due within
                                                  5 s, or when there is a chore
  audit     list    {ns:shard}:audit:<job_id>     gets a line; keeps no expiry from a removal
  expected  zset    {ns:shard}:expected           job id by the ms by which it has to complete
ARGV
  job_id       str
  definition   str  JSON of the job, as it is run
  fingerprint  str  of the definition, as it was declared
  seen         int  version that the caller saw, 0 for none
  pending      str  fingerprint of the pending definition that the caller saw, empty for none
  cursor       int  Unix seconds: instants up to here are decided, under the version before
  next_due     int  ms of the next due instant
  now          int  ms
  by           str  the author of the change
  owner        str  the app that declares the job; empty leaves the mark as it is
  retire       int  1: tickers cancel the occurrences of earlier versions
  expect_by    int  ms by which it has to complete for the first time, 0 for never
  forget       int  each a version that nothing refers to any more
OUT
  CREATED version    the first version
  CHANGED version    the next version
  UNCHANGED version  this very definition is the current one
  STALE version      another version was registered or put off, or instants were decided after the cursor: look again;
                     nothing was written
KEEPS I1 I2 I9
]]
local job, versions, history, due, chores, wake, audit, expected =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local job_id, definition, fingerprint, seen, pending, cursor, next_due, now, by, owner, retire, expect_by =
  ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[11], ARGV[12]
local unused, next_args = math.min(#ARGV - 12, 100), read_from(ARGV, 13)

check_types({job, versions}, {history, due, chores, expected}, nil, {audit})
local known = redis.call('HMGET', job, 'version', 'fingerprint', 'cursor', 'pending_mark', 'passed', 'definition')
local version = tonumber(known[1] or 0)
if known[2] == fingerprint then
  if version > 0 and owner ~= '' then redis.call('HSET', job, 'owner', owner) end
  -- It is there already, unless the set was lost: then who deploys the job brings it back.
  redis.call('ZADD', due, 'NX', next_due, job_id)
  return {'UNCHANGED', version}
end
-- The cursor never goes back: what a ticker has decided meanwhile stays decided, and next_due must follow from it.
local moved = tonumber(known[3] or 0) > tonumber(cursor)
if version ~= tonumber(seen) or moved or (known[4] or '') ~= pending then return {'STALE', version} end

local word, new = version == 0 and 'CREATED' or 'CHANGED', version + 1
if version > 0 then
  redis.call('HSET', versions, version, known[6], version .. ':until', cursor, version .. ':over', now)
else
  -- A job that comes back goes on counting, since occurrences of its earlier life are pinned to those versions.
  local kept = redis.call('HMGET', versions, 'last', 'passed')
  new, known[5] = tonumber(kept[1] or 0) + 1, kept[2]
end
-- The first write is one that grows: at its memory limit the server refuses the registration as a whole.
redis.call('HSET', versions, new .. ':mark', fingerprint, new .. ':after', cursor, new .. ':at', now, 'last', new)
if version == 0 then redis.call('PERSIST', versions); redis.call('PERSIST', history); redis.call('PERSIST', audit) end
for _ = 1, unused do
  local old = next_args(1)
  redis.call('HDEL', versions, old, old .. ':mark', old .. ':after', old .. ':at', old .. ':until', old .. ':over')
end
redis.call('HSET', job, 'version', new, 'fingerprint', fingerprint, 'definition', definition, 'cursor', cursor,
  owner ~= '' and 'owner' or 'version', owner ~= '' and owner or new)
-- A row that was compressed under another schedule stays as it is recorded: no run of this schedule stands for it.
if known[3] and known[3] ~= cursor then redis.call('HDEL', job, 'since') end
local passed = (known[5] or '') .. (known[4] and known[4] ~= fingerprint and known[4] .. ' ' or '')
if passed ~= '' then redis.call('HSET', job, 'passed', string.sub(passed, -340)) end
if known[4] then redis.call('HDEL', job, 'pending', 'pending_mark', 'pending_at', 'pending_owner', 'pending_by') end
if version > 0 then redis.call('ZREM', chores, 'update:' .. job_id) end
if retire == '1' then redis.call('ZADD', chores, now, 'retire:' .. new .. ':' .. job_id) end
append_audit(audit, now, by, string.lower(word), 'version ' .. new)
if expect_by ~= '0' then redis.call('ZADD', expected, 'NX', expect_by, job_id) end
redis.call('ZADD', due, next_due, job_id)
-- Tickers sleep until the next instant they know; before they look again by themselves this one may have passed.
local soon = next_due - now < 5000 or (expect_by ~= '0' and expect_by - now < 5000)
if soon or retire == '1' or redis.call('ZRANGE', due, 0, 0)[1] == job_id then redis.call('PUBLISH', wake, 'job') end
return {word, new}
