-- Settle an attempt: delivered or given up, and the next of its line is due; or once more later.
--
-- KEYS  1 billing:webhook:{job_id}   2 billing:webhook:due   3 billing:webhook:failed
-- ARGV  1 job_id   2 state (delivered, failed or waiting)   3 now   4 when it is due again (waiting)   5 answer, in a word
--       6 how long a settled one is remembered (seconds)   7 prefix of the deliveries
-- Gives 1, or 0 when it was settled already.

local one = redis.call('HMGET', KEYS[1], 'line', 'state')
if not one[1] or one[2] ~= 'waiting' then return 0 end
redis.call('HINCRBY', KEYS[1], 'attempts', 1)
redis.call('HSET', KEYS[1], 'answer', ARGV[5], 'at', ARGV[3])
if ARGV[2] == 'waiting' then
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
  return 1
end
redis.call('HSET', KEYS[1], 'state', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[6])
redis.call('ZREM', KEYS[2], ARGV[1])
if ARGV[2] == 'failed' then redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1]) end
redis.call('LREM', one[1], 1, ARGV[1])
local after = redis.call('LINDEX', one[1], 0)
if after then -- its day begins now
  redis.call('HSET', ARGV[7] .. after, 'since', ARGV[3])
  redis.call('ZADD', KEYS[2], ARGV[3], after)
end
return 1
