#!lua flags=allow-oom
-- Hold a claimed job for longer: beyond the end of a look-up.
--
-- KEYS  1 billing:job:{job_id}   2 billing:open
-- ARGV  1 job_id   2 delivery   3 lease (seconds)
-- Gives 1, or 0 when another delivery has it or it is finished.

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local job = redis.call('HMGET', KEYS[1], 'lease', 'leased_until', 'outcome')
if job[3] or job[1] ~= ARGV[2] or now >= tonumber(job[2]) then return 0 end

local until_ = string.format('%.6f', now + tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], 'leased_until', until_)
redis.call('ZADD', KEYS[2], until_, ARGV[1])
return 1
