#!lua flags=allow-oom
-- Mark a job as about to be sent, and lease it beyond the end of the call.
--
-- KEYS  1 billing:job:{job_id}   2 billing:open   3 billing:trace:{job_id}
-- ARGV  1 job_id   2 delivery   3 lease (seconds)   4 i'mport's clock (Unix seconds)   5 attempts, as the worker counts them
--       6 billing:pause (not among the keys: those of a script must be writable)
-- Gives {1, attempts, first_sent_at, seconds to the deadline}; {0} when another delivery has it, or it is finished,
-- {2} when its deadline has passed, and {3} during a pause: then it must not be sent.

-- include clock
-- include trace
local function note(step) trace(KEYS[3], string.match(ARGV[2], '^[^:]*'), step) end

local job = redis.call('HMGET', KEYS[1], 'lease', 'leased_until', 'expires_at', 'attempts', 'leased_from')
if job[1] ~= ARGV[2] or now >= tonumber(job[2]) or now < (tonumber(job[5]) or 0) then return {0} end
if now >= tonumber(job[3]) then return {2} end
local pause = redis.call('HMGET', ARGV[6], 'from', 'until')
if (tonumber(pause[1]) or 0) <= now and now < (tonumber(pause[2]) or 0) then return {3} end

local until_ = instant(now + tonumber(ARGV[3]))
local attempts = math.max(tonumber(job[4]), tonumber(ARGV[5])) + 1
redis.call('HSET', KEYS[1], 'sent_at', instant(now), 'leased_from', instant(now), 'leased_until', until_, 'attempts', attempts,
  'sender', ARGV[2] .. ' ' .. until_)
redis.call('HSETNX', KEYS[1], 'first_sent_at', ARGV[4])
redis.call('HDEL', KEYS[1], 'answer', 'look_ups')
redis.call('ZADD', KEYS[2], until_, ARGV[1])
note('sent ' .. attempts)
return {1, attempts, redis.call('HGET', KEYS[1], 'first_sent_at'), instant(tonumber(job[3]) - now)}
