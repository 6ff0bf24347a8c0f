-- Take an outcome in for delivery: behind the others of its customer_uid, and due if it is the first of them.
--
-- KEYS  1 billing:webhook:{job_id}   2 billing:webhook:line:{uid}   3 billing:webhook:due   4 billing:webhook:failed
-- ARGV  1 job_id   2 outcome (JSON)   3 now   4 how long it is kept (seconds)   5 "1" to send a settled one once more
-- Gives 1, or 0 when it was taken in before (and is not to be sent once more, or waits already).

local state = redis.call('HGET', KEYS[1], 'state')
if state and (ARGV[5] ~= '1' or state == 'waiting') then return 0 end
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('HSET', KEYS[1], 'outcome', ARGV[2], 'line', KEYS[2], 'since', ARGV[3], 'attempts', 0, 'state', 'waiting')
redis.call('EXPIRE', KEYS[1], ARGV[4])
if redis.call('RPUSH', KEYS[2], ARGV[1]) == 1 then redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1]) end
redis.call('EXPIRE', KEYS[2], ARGV[4])
return 1
