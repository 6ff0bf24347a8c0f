-- Take an outcome in for delivery: behind the others of its customer_uid; or a settled one once more, beside them.
--
-- KEYS  1 billing:webhook-delivery:{name}:{id}   2 billing:webhook-line:{name}:{uid}   3 billing:webhook-due:{name}
--       4 billing:webhook-late:{name}   5 billing:webhook-failed:{name}
-- ARGV  1 id   2 outcome (JSON)   3 uid   4 now   5 how long it is kept (seconds)   6 "1" to send a settled one once more
-- Gives 1, or 0 when it was taken in before (and is not to be sent once more, or waits already).

local state = redis.call('HGET', KEYS[1], 'state')
if state and (ARGV[6] ~= '1' or state == 'waiting') then return 0 end
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('HSET', KEYS[1], 'outcome', ARGV[2], 'line', ARGV[3], 'late', ARGV[6], 'since', '', 'attempts', 0,
  'state', 'waiting', 'again_at', ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[5])
if ARGV[6] == '1' then
  redis.call('ZADD', KEYS[4], ARGV[4], ARGV[1])
  return 1
end
if redis.call('RPUSH', KEYS[2], ARGV[1]) == 1 then redis.call('ZADD', KEYS[3], ARGV[4], ARGV[3]) end
redis.call('EXPIRE', KEYS[2], ARGV[5])
return 1
