-- Settle an attempt: delivered or given up, and the next of its line is due; or once more later.
--
-- KEYS  1 billing:webhook-delivery:{name}:{id}   2 billing:webhook-due:{name}   3 billing:webhook-late:{name}
--       4 billing:webhook-failed:{name}
-- ARGV  1 id   2 state (delivered, failed or waiting)   3 now   4 when it is due again (waiting)   5 answer, in a word
--       6 how long a settled one is remembered (seconds)   7 prefix of the lines   8 how long one holds its line (seconds)
-- Gives 1, or 0 when it was settled already.

local one = redis.call('HMGET', KEYS[1], 'line', 'state', 'late', 'since')
if one[2] ~= 'waiting' then return 0 end
local is_late = one[3] == '1'
redis.call('HINCRBY', KEYS[1], 'attempts', 1)
redis.call('HSET', KEYS[1], 'answer', ARGV[5], 'at', ARGV[3])
if ARGV[2] == 'waiting' then
  redis.call('HSET', KEYS[1], 'again_at', ARGV[4])
  if is_late then
    redis.call('ZADD', KEYS[3], ARGV[4], ARGV[1])
  else -- looked at when its line is free, though it is not tried then
    redis.call('ZADD', KEYS[2], math.min(tonumber(ARGV[4]), tonumber(one[4]) + tonumber(ARGV[8])), one[1])
  end
  return 1
end
redis.call('HSET', KEYS[1], 'state', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[6])
if ARGV[2] == 'failed' then redis.call('ZADD', KEYS[4], ARGV[3], ARGV[1]) end
if is_late then
  redis.call('ZREM', KEYS[3], ARGV[1])
else -- it is the first of its line
  redis.call('LPOP', ARGV[7] .. one[1])
  if redis.call('LINDEX', ARGV[7] .. one[1], 0) then
    redis.call('ZADD', KEYS[2], ARGV[3], one[1])
  else
    redis.call('ZREM', KEYS[2], one[1])
  end
end
return 1
