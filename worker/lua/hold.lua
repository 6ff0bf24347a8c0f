#!lua flags=allow-oom
-- Hold a claimed job for longer: beyond the end of a look-up. A ledger that forgot POSTs learns of them.
--
-- KEYS  1 billing:job:{job_id}   2 billing:open   3 billing:trace:{job_id}
-- ARGV  1 job_id   2 delivery   3 lease (seconds)   4 attempts   5 first_sent_at (empty if there is none)
--       6 "1" if a POST counted as not applied without proof
-- Gives 1, or 0 when another delivery has it or it is finished.

-- include clock
-- include trace
local function note(step) trace(KEYS[3], string.match(ARGV[2], '^[^:]*'), step) end
local job = redis.call('HMGET', KEYS[1], 'lease', 'leased_until', 'attempts', 'leased_from')
if job[1] ~= ARGV[2] or now >= tonumber(job[2]) or now < (tonumber(job[4]) or 0) then return 0 end

local until_ = instant(now + tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], 'leased_from', instant(now), 'leased_until', until_)
if tonumber(job[3]) < tonumber(ARGV[4]) then
  redis.call('HSET', KEYS[1], 'attempts', ARGV[4], 'sent_at', instant(now), 'first_sent_at', ARGV[5])
  if ARGV[6] == '1' then redis.call('HSET', KEYS[1], 'doubtful', 1) end
end
redis.call('ZADD', KEYS[2], until_, ARGV[1])
note('asks')
return 1
