--[[
postpone_job: put off a new version of a job until its time, when tickers register it, or take back a version that was
put off.

KEYS
  job     hash    {ns:shard}:job:<job_id>  gets or loses the pending definition
  chores  zset    {ns:shard}:chores        chores of tickers by the ms they are due
  wake    channel {ns:shard}:wake          gets a message about the chore
ARGV
  chore        str  the name of the chore that registers the version
  definition   str  JSON of the job, as it will run; empty takes back what is pending
  fingerprint  str  of the definition, as it was declared
  seen         int  version that the caller saw
  pending      str  fingerprint of the pending definition that the caller saw, empty for none
  at           int  ms from which on it is registered
  owner        str  the app that declares the job, empty for none
  by           str  the author of the change
OUT
  POSTPONED version  it waits, now or since before, until the later of its times; the version is the current one
  DROPPED version    nothing is pending any more
  STALE version      another version was registered or put off: look again; nothing was written
KEEPS I1 I9
]]
local job, chores, wake = KEYS[1], KEYS[2], KEYS[3]
local chore, definition, fingerprint, seen, pending, at, owner, by =
  ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]

-- A key of the wrong type ends the script here, before its first write.
redis.call('ZCARD', chores)
local known = redis.call('HMGET', job, 'version', 'pending_mark', 'pending_at', 'passed')
local version = tonumber(known[1] or 0)
if definition ~= '' and known[2] == fingerprint then
  -- The same definition says a later time when a window has gone by that no ticker saw.
  if tonumber(at) > tonumber(known[3]) then
    redis.call('HSET', job, 'pending_at', at)
    redis.call('ZADD', chores, at, chore)
  end
  return {'POSTPONED', version}
end
if version ~= tonumber(seen) or (known[2] or '') ~= pending then return {'STALE', version} end
-- A definition that is taken back, or replaced by another one, is older from now on, as if it had been in force.
if known[2] then redis.call('HSET', job, 'passed', string.sub((known[4] or '') .. known[2] .. ' ', -340)) end
if definition == '' then
  redis.call('HDEL', job, 'pending', 'pending_mark', 'pending_at', 'pending_owner', 'pending_by')
  redis.call('ZREM', chores, chore)
  return {'DROPPED', version}
end
redis.call('HSET', job, 'pending', definition, 'pending_mark', fingerprint, 'pending_at', at, 'pending_owner', owner,
  'pending_by', by)
redis.call('ZADD', chores, at, chore)
redis.call('PUBLISH', wake, 'job')
return {'POSTPONED', version}
