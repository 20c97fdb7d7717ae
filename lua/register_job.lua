--[[
register_job: store a new job, or a new version of one.

KEYS
  job       hash    {ns:shard}:job:<job_id>       created or changed
  versions  hash    {ns:shard}:versions:<job_id>  earlier definitions by version, those of a removed job of this name too
  history   zset    {ns:shard}:history:<job_id>   keeps no expiry from a removal
  due       zset    {ns:shard}:due                job id by the ms of its next due instant
  wake      channel {ns:shard}:wake               told when nothing is due earlier
  audit     stream  {ns:shard}:audit:<job_id>     is told; keeps no expiry from a removal
ARGV
  job_id       str
  name         str
  definition   str  JSON of the job, as it is run
  fingerprint  str  of the definition, as it was declared
  seen         int  version that the caller saw, 0 for none
  cursor       int  Unix seconds: instants up to here are decided
  next_due     int  ms of the next due instant
  now          int  ms
  by           str  who
OUT
  CREATED version    the first version
  CHANGED version    the next version
  UNCHANGED version  this very definition is the current one
  STALE version      another version was registered, or instants were decided after the cursor: look again; nothing
                     was written
KEEPS I1 I2
]]
local job, versions, history, due, wake, audit = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local job_id, name, definition, fingerprint, seen, cursor, next_due, now, by =
  ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]

local held = redis.call('HMGET', job, 'version', 'fingerprint', 'definition', 'cursor')
local version = tonumber(held[1] or 0)
if held[2] == fingerprint then return {'UNCHANGED', version} end
-- The cursor never goes back: what a ticker has decided meanwhile stays decided, and next_due must follow from it.
if version ~= tonumber(seen) or tonumber(held[4] or 0) > tonumber(cursor) then return {'STALE', version} end

local word = version == 0 and 'CREATED' or 'CHANGED'
if version > 0 then
  redis.call('HSET', versions, version, held[3])
else
  -- A job that comes back goes on counting, since occurrences of its earlier life are pinned to those versions.
  version = redis.call('HLEN', versions)
  redis.call('PERSIST', versions)
  redis.call('PERSIST', history)
  redis.call('PERSIST', audit)
end
redis.call('HSET', job, 'name', name, 'version', version + 1, 'fingerprint', fingerprint, 'definition', definition,
  'cursor', cursor, 'registered_at', now)
-- What was compressed under another schedule stays as it is recorded: no run of this one stands for it.
if held[4] ~= cursor then redis.call('HDEL', job, 'since') end
redis.call('XADD', audit, 'MAXLEN', '~', 1000, '*', 'at', now, 'by', by, 'what', string.lower(word),
  'note', 'version ' .. version + 1)
redis.call('ZADD', due, next_due, job_id)
if redis.call('ZRANGE', due, 0, 0)[1] == job_id then redis.call('PUBLISH', wake, 'job') end
return {word, version + 1}
