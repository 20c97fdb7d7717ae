--[[
claim_first_start: decide which attempt is the first of its occurrence, for the hook that is called once.

KEYS
  occurrence  hash  {ns:shard}:occurrence:<occ_id>  notes the attempt
ARGV
  attempt_id  str
OUT
  FIRST  this attempt is the first, by this call or an earlier send of it
  LATER  another one was
  GONE   there is no such occurrence (any more): nothing was written
KEEPS I9
]]
local occurrence, attempt_id = KEYS[1], ARGV[1]

if redis.call('EXISTS', occurrence) == 0 then return {'GONE'} end
redis.call('HSETNX', occurrence, 'begun_by', attempt_id)
return {redis.call('HGET', occurrence, 'begun_by') == attempt_id and 'FIRST' or 'LATER'}
