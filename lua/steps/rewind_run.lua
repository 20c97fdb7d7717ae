--[[
rewind_run: let a suspended run do some of its steps again, at once.

USES read_from enqueue_entry check_all_types
KEYS
  run        hash    {ns:shard}:run:<run_id>           pending
  steps      hash    {ns:shard}:steps:<run_id>         loses the records of these steps
  stream     stream  {ns:shard}:stream:<queue>:<prio>  gets the entry
  streams    set     {ns:shard}:streams                places of the streams that exist
  delayed    zset    {ns:shard}:delayed                loses the run
  questions  zset    {ns:shard}:questions              the same
ARGV
  run_id   str
  place    str  `<queue>:<prio>`, as the record of the run has it
  attempt  int  number of the attempt that the caller saw it wait for
  step     str  each step that is done again, at most 5,000
OUT
  REWOUND  the run is on its stream
  MOVED    it is not suspended, or was awake meanwhile: nothing was written
KEEPS I3 I7 I10
]]
local run, steps, stream, streams, delayed, questions = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local run_id, place, attempt, next_steps = ARGV[1], ARGV[2], ARGV[3], read_from(ARGV, 4)

check_all_types(KEYS)
local known = redis.call('HMGET', run, 'state', 'attempt', 'message', 'crashes')
if known[1] ~= 'suspended' or known[2] ~= attempt or not known[3] then return {'MOVED'} end
redis.call('ZREM', delayed, place .. ':' .. run_id)
redis.call('ZREM', questions, run_id)
redis.call('HDEL', steps, next_steps())
redis.call('HSET', run, 'state', 'pending', 'entry', enqueue_entry(stream, streams, place, known[3], attempt, known[4]))
redis.call('HDEL', run, 'message', 'due_at', 'note', 'wait', 'question')
return {'REWOUND'}
