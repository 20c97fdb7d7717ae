--[[
beat_ticker: record the beat of a ticker and read the agenda of its shard, in one command.

USES check_all_types
KEYS
  tickers    zset  {ns:shard}:tickers             ticker id by the ms of its last beat; expires
  record     hash  {ns:shard}:ticker:<ticker_id>  its status; expires
  due        zset  {ns:shard}:due                 job id by the ms of its next due instant
  delayed    zset  {ns:shard}:delayed             place:run id by the ms it is promoted at
  starts     set   {ns:shard}:starts              jobs whose next queued occurrence can be started
  deadlines  zset  {ns:shard}:deadlines           occurrence id by the ms it is timed out at
  expected   zset  {ns:shard}:expected            job id by the ms by which it has to complete
  identity   string  {ns:shard}:identity          made when absent: the server is new, or was emptied
ARGV
  ticker_id  str
  now        int  ms of server time
  status     str  JSON for people: host, pid, counts
  horizon    int  ms up to which due jobs are listed
  limit      int  how many of them at the most
  candidate  str  the identity, when there is none
OUT
  AGENDA due delayed starts tickers deadlines expected identity found
         due: job id and ms in turn, by time; delayed: member and ms in turn, the first 100; starts: up to 100 job ids;
         tickers: the ids of up to 100 that have beaten within ten seconds; deadlines: id and ms in turn, the first 100;
         expected: job id and ms in turn, the first 20; identity: of the shard; found: the beat of this ticker that was
         on record, or empty
KEEPS I1 I3
]]
local tickers, record, due, delayed, starts, deadlines, expected =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local identity = KEYS[8]
local ticker_id, now, status, horizon, limit, candidate = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

check_all_types(KEYS)
local found = redis.call('ZSCORE', tickers, ticker_id) or ''

-- A removal comes first: a script that has begun with one may go on writing at the memory limit.
redis.call('ZREMRANGEBYSCORE', tickers, '-inf', now - 60000)
redis.call('ZADD', tickers, now, ticker_id)
redis.call('PEXPIRE', tickers, 60000)
redis.call('HSET', record, 'status', status)
redis.call('PEXPIRE', record, 60000)
redis.call('SET', identity, candidate, 'NX')
return {'AGENDA', redis.call('ZRANGEBYSCORE', due, '-inf', horizon, 'WITHSCORES', 'LIMIT', 0, limit),
  redis.call('ZRANGE', delayed, 0, 99, 'WITHSCORES'), redis.call('SRANDMEMBER', starts, 100),
  redis.call('ZRANGEBYSCORE', tickers, now - 10000, '+inf', 'LIMIT', 0, 100),
  redis.call('ZRANGE', deadlines, 0, 99, 'WITHSCORES'), redis.call('ZRANGE', expected, 0, 19, 'WITHSCORES'),
  redis.call('GET', identity), found}
