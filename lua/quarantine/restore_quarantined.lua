--[[
restore_quarantined: put what is in the quarantine back where it was.

KEYS
  quarantine  stream  {ns:shard}:quarantine  loses the entry
  source      any     {ns:shard}:<kind>           gets the member, or what stood there
  kept        any     {ns:shard}:kept:<id>   what stood there; the key `nothing` for a member
  mark        any     {ns:shard}:kept:<call>  says for ten minutes that this call has restored something
ARGV
  entry   str  id of the entry
  member  str  empty for a whole key
  score   str  of the member; empty for a set
OUT
  RESTORED  it is back, by this call or an earlier send of it
  GONE      it was restored or purged before, or has expired: nothing was written
  TAKEN     something else stands there now: nothing was written
KEEPS I9
]]
local quarantine, source, kept, mark = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local entry, member, score = ARGV[1], ARGV[2], ARGV[3]

if redis.call('EXISTS', mark) == 1 then return {'RESTORED'} end
if #redis.call('XRANGE', quarantine, entry, entry) == 0 then return {'GONE'} end
local found = redis.call('TYPE', source)
found = found['ok'] or found
if member == '' then
  if redis.call('EXISTS', kept) == 0 then return {'GONE'} end
  if found ~= 'none' then return {'TAKEN'} end
  redis.call('PERSIST', kept)
  redis.call('RENAME', kept, source)
elseif score == '' then
  if found ~= 'none' and found ~= 'set' then return {'TAKEN'} end
  redis.call('SADD', source, member)
else
  if found ~= 'none' and found ~= 'zset' then return {'TAKEN'} end
  redis.call('ZADD', source, 'NX', score, member)
end
redis.call('SET', mark, entry, 'PX', 600000)
redis.call('XDEL', quarantine, entry)
return {'RESTORED'}
