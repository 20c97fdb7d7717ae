--[[
quarantine_member: move a member that cannot be read out of a set or a sorted set, with its place and the reason.

KEYS
  source      any     {ns:shard}:<kind>           the set or sorted set that loses the member
  quarantine  stream  {ns:shard}:quarantine   gets an entry; the latest thousand are kept, for thirty days
  record      any     {ns:shard}:<kind>       a key whose existence means that the member is in order after all, or the
                                              key `nothing`
ARGV
  member   str  bytes of any kind
  score    str  as the server wrote it; empty for a set
  key      str  the name of the source, for people
  reason   str  why it cannot be read
  keep_ms  int  how long the quarantine is kept after its last entry
OUT
  MOVED entry  it is in the quarantine
  KEPT         it is not there (any more), has another score, or is in order: nothing was written
KEEPS I1 I3 I9
]]
local source, quarantine, record = KEYS[1], KEYS[2], KEYS[3]
local member, score, key, reason, keep_ms = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

redis.call('XLEN', quarantine)
if redis.call('EXISTS', record) == 1 then return {'KEPT'} end
if score == '' then
  if redis.call('SREM', source, member) == 0 then return {'KEPT'} end
else
  -- Read before by the caller: another score means that somebody has written it anew since.
  local now = redis.call('ZSCORE', source, member)
  if not now or tonumber(now) ~= tonumber(score) then return {'KEPT'} end
  redis.call('ZREM', source, member)
end
local entry = redis.call('XADD', quarantine, 'MAXLEN', '1000', '*', 'key', key, 'member', member, 'score', score,
  'reason', reason)
redis.call('PEXPIRE', quarantine, keep_ms)
return {'MOVED', entry}
