-- Take the deliveries that are due, for a while: should their taker die, they are due again.
--
-- KEYS  1 billing:webhook:due
-- ARGV  1 now   2 how many at most   3 lease (seconds)   4 prefix of the deliveries
-- Gives a list: job_id, outcome, attempts, since; and so on.

local answer = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do
  local one = redis.call('HMGET', ARGV[4] .. id, 'outcome', 'attempts', 'since')
  if one[1] then
    redis.call('ZADD', KEYS[1], tonumber(ARGV[1]) + tonumber(ARGV[3]), id)
    for _, part in ipairs({id, one[1], one[2], one[3]}) do answer[#answer + 1] = part end
  else -- forgotten: older than it is kept
    redis.call('ZREM', KEYS[1], id)
  end
end
return answer
