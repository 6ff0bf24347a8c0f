-- Give a job back, to be taken up again later.
--
-- KEYS  1 billing:job:{job_id}   2 billing:open
-- ARGV  1 job_id   2 delivery   3 delay (seconds)   4 reason
-- Gives 1, or 0 when another delivery has it or it is finished. Only a job that was surely not applied is given back so:
-- the mark that it may have been sent goes.

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6

local job = redis.call('HMGET', KEYS[1], 'lease', 'expires_at', 'outcome')
if job[3] or job[1] ~= ARGV[2] then return 0 end

-- It is taken up at its deadline at the latest, to be ended.
local next_at = string.format('%.6f', math.min(now + tonumber(ARGV[3]), tonumber(job[2])))
redis.call('HSET', KEYS[1], 'next_at', next_at, 'reason', ARGV[4], 'claims', 0)
redis.call('HDEL', KEYS[1], 'lease', 'leased_until', 'sent_at')
redis.call('ZADD', KEYS[2], next_at, ARGV[1])
return 1
