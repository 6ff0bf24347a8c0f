#!lua flags=allow-oom
-- Carry out what operators asked for: jobs that are to be taken up now, or to end; and wake what waited for a pause.
--
-- KEYS  1 billing:asked   2 billing:open   3 billing:paused
-- ARGV  1 prefix of the records   2 billing:pause (not among the keys: those of a script must be writable)
--       3 how many jobs of a pause that is over are woken at once   4 prefix of the traces
--       5 prefix of the requests
--
-- What is in flight is left alone until it is not. A look-up that comes early for it counts as none.

-- include clock
-- include trace
-- include adopt
local function within(from, until_)
  return (tonumber(from) or 0) <= now and now < (tonumber(until_) or 0)
end
local function wake(id)
  redis.call('HSET', ARGV[1] .. id, 'next_at', instant(now))
  redis.call('ZADD', KEYS[2], instant(now), id)
end

local asked = redis.call('HGETALL', KEYS[1])
for i = 1, #asked, 2 do
  local id = asked[i]
  local job = redis.call('HMGET', ARGV[1] .. id, 'lease', 'leased_from', 'leased_until', 'sent_at')
  local is_open = redis.call('ZSCORE', KEYS[2], id)
  if not is_open or not (job[1] and within(job[2], job[3])) then
    redis.call('HDEL', KEYS[1], id)
    if is_open then
      adopt(id, ARGV[5], ARGV[1])
      if asked[i + 1] == 'expire' then redis.call('HSET', ARGV[1] .. id, 'given_up', 1)
      elseif job[4] then redis.call('HINCRBY', ARGV[1] .. id, 'look_ups', -1) end
      wake(id)
      trace(ARGV[4] .. id, '-', asked[i + 1])
    end
  end
end

local pause = redis.call('HMGET', ARGV[2], 'from', 'until')
if within(pause[1], pause[2]) then return 0 end
local paused = redis.call('ZRANGE', KEYS[3], 0, tonumber(ARGV[3]) - 1)
for _, id in ipairs(paused) do
  redis.call('ZREM', KEYS[3], id)
  local job = redis.call('HMGET', ARGV[1] .. id, 'reason', 'lease')
  if job[1] == 'paused' and not job[2] and redis.call('ZSCORE', KEYS[2], id) then wake(id) end
end
return #paused
