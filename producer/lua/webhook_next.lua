-- Take the deliveries that are due, for a while: should their taker die, they are due again. The first of a line that was
-- tried for its time leaves the line, whoever has it in hand: it is late from now on, and the next one is due.
--
-- KEYS  1 billing:webhook-due:{name}   2 billing:webhook-late:{name}   3 billing:webhook-failed:{name}
-- ARGV  1 now   2 how many of lines at most   3 how many late ones at most   4 lease (seconds)   5 prefix of the deliveries
--       6 prefix of the lines   7 how long one holds its line (seconds)   8 how long one that was given up is kept (seconds)
-- Gives a list: id, outcome, attempts, since, late ("1" or "0"); and so on.

local now, answer = tonumber(ARGV[1]), {}
local lease_end = now + tonumber(ARGV[4])

local function hand_out(id, one, late)
  local since = one[3] == '' and ARGV[1] or one[3] -- its time begins with the first attempt
  redis.call('HSET', ARGV[5] .. id, 'since', since, 'again_at', lease_end)
  for _, part in ipairs({id, one[1], one[2], since, late}) do answer[#answer + 1] = part end
  return tonumber(since)
end

local function first_of(line)
  while true do
    local id = redis.call('LINDEX', ARGV[6] .. line, 0)
    if not id then return redis.call('ZREM', KEYS[1], line) end
    local one = redis.call('HMGET', ARGV[5] .. id, 'outcome', 'attempts', 'since', 'again_at')
    local held_until = (tonumber(one[3]) or now) + tonumber(ARGV[7])
    if one[1] and held_until > now then
      if tonumber(one[4]) <= now then held_until = hand_out(id, one, '0') + tonumber(ARGV[7]) end
      local again_at = tonumber(redis.call('HGET', ARGV[5] .. id, 'again_at'))
      return redis.call('ZADD', KEYS[1], math.min(again_at, held_until), line)
    end
    redis.call('LPOP', ARGV[6] .. line) -- or it is forgotten: older than it is kept
    if one[1] then
      redis.call('HSET', ARGV[5] .. id, 'late', '1')
      redis.call('ZADD', KEYS[2], one[4], id)
    end
  end
end

redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - tonumber(ARGV[8]))
for _, line in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])) do first_of(line) end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])) do
  local one = redis.call('HMGET', ARGV[5] .. id, 'outcome', 'attempts', 'since')
  if one[1] then
    hand_out(id, one, '1')
    redis.call('ZADD', KEYS[2], lease_end, id)
  else
    redis.call('ZREM', KEYS[2], id)
  end
end
return answer
