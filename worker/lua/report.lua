#!lua flags=allow-oom
-- Tell what became of a call, for the shared rate and the shared breaker.
--
-- KEYS  1 billing:permit
-- ARGV  1 answered, throttled, timeout or failed   2 seconds that i'mport asked to wait (throttled)
--       3 failures in a row that open the breaker   4 how long nobody calls then (seconds)
-- Gives 1 if this opened the breaker, else 0.

-- include clock
local word = ARGV[1]

if word == 'throttled' or word == 'timeout' then -- the rate falls by a tenth, at most once a second
  local state = redis.call('HMGET', KEYS[1], 'factor', 'factor_at')
  local at = tonumber(state[2] or 0)
  if now - at >= 1 then
    local factor = math.min(1, tonumber(state[1] or 1) + (at > 0 and (now - at) * 0.01 or 0))
    redis.call('HSET', KEYS[1], 'factor', math.max(factor * 0.9, 0.05), 'factor_at', instant(now))
  end
end
if word == 'throttled' and tonumber(ARGV[2]) > 0 then -- everybody waits as long as it asks, five minutes at most; then one
  local until_ = now + math.min(tonumber(ARGV[2]), 300)
  local known = tonumber(redis.call('HGET', KEYS[1], 'pause_until') or 0)
  if until_ > known or known > now + 300 then
    redis.call('HSET', KEYS[1], 'pause_until', instant(until_), 'probe_at', instant(until_))
  end
  redis.call('HDEL', KEYS[1], 'failures')
  return 0
end
if word == 'answered' or word == 'throttled' then
  redis.call('HDEL', KEYS[1], 'failures', 'probe_at')
  return 0
end
local failures = redis.call('HINCRBY', KEYS[1], 'failures', 1)
if failures < tonumber(ARGV[3]) then return 0 end
local was_open = redis.call('HEXISTS', KEYS[1], 'probe_at')
redis.call('HSET', KEYS[1], 'probe_at', instant(now + tonumber(ARGV[4])))
return 1 - was_open
