--[[
quarantine_key: put a whole key aside that has the wrong type, under a name of its own.

KEYS
  source      any     {ns:shard}:<kind>           loses its name
  kept        any     {ns:shard}:kept:<id>        gets what stood there; expires
  quarantine  stream  {ns:shard}:quarantine       gets an entry; the latest thousand are kept, for thirty days
ARGV
  expected  str  the type that the key must have; empty when it cannot be read whatever its type
  key       str  the name of the source, for people
  kept_key  str  the name that it is kept under
  reason    str  why it cannot be read, after its type
  keep_ms   int  how long both are kept
OUT
  MOVED entry  it is in the quarantine
  KEPT         there is no such key, or it has the expected type: nothing was written
KEEPS I3 I9
]]
local source, kept, quarantine = KEYS[1], KEYS[2], KEYS[3]
local expected, key, kept_key, reason, keep_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local found = redis.call('TYPE', source)
found = found['ok'] or found
if found == 'none' or found == expected then return {'KEPT'} end
if source ~= quarantine then redis.call('XLEN', quarantine) end
redis.call('RENAME', source, kept)
redis.call('PEXPIRE', kept, keep_ms)
local why = expected == '' and reason or 'it is a ' .. found .. reason
local entry = redis.call('XADD', quarantine, 'MAXLEN', '1000', '*', 'key', key, 'kept', kept_key, 'reason', why)
redis.call('PEXPIRE', quarantine, keep_ms)
return {'MOVED', entry}
