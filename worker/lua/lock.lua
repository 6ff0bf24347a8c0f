#!lua flags=allow-oom
-- Hold a lock, or hold it for longer.
--
-- KEYS  1 the lock
-- ARGV  1 owner   2 life (seconds)
-- Gives 1 if this owner holds it now, else 0.

local holder = redis.call('GET', KEYS[1])
local is_stale = redis.call('PTTL', KEYS[1]) > tonumber(ARGV[2]) * 1000 -- it was taken before the clock stepped back
if holder and holder ~= ARGV[1] and not is_stale then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
