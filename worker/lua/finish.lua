#!lua flags=allow-oom
-- Write the outcome of a job, once and everywhere: record, stream, Celery's result; and wake who waited for it.
--
-- KEYS  1 billing:job:{job_id}   2 billing:open   3 billing:outcomes   4 celery-task-meta-{job_id}
-- ARGV  1 job_id   2 delivery   3 outcome (JSON)   4 Celery's result (JSON)   5 how long it is kept (seconds)
--       6 "1" if the outcome says what i'mport did: then it counts from whoever brings it
--       7 prefix of the customers' keys   8 prefix of the records   9 "1" if the job's card is now in force, or may be
--       10 until when the key that is in force then was updated (Unix seconds of i'mport; empty text if it did not say)
-- Gives the outcome in force: this one, or the one that was written before. Empty text when another delivery has the
-- job and must say.

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local job = redis.call('HMGET', KEYS[1], 'outcome', 'lease', 'customer_uid', 'sequence', 'sent_at', 'doubt_until')
if job[1] then return job[1] end
if job[2] ~= ARGV[2] and ARGV[6] ~= '1' then return '' end

redis.call('HSET', KEYS[1], 'outcome', ARGV[3])
redis.call('HDEL', KEYS[1], 'lease', 'leased_until', 'next_at', 'reason', 'sent_at', 'doubt_until')
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('ZREM', KEYS[2], ARGV[1])
if job[3] and job[3] ~= '' then
  local customer = ARGV[7] .. job[3]
  redis.call('ZREM', customer .. ':open', ARGV[1])
  if ARGV[9] == '1' and tonumber(redis.call('HGET', customer, 'applied') or 0) < tonumber(job[4]) then
    redis.call('HSET', customer, 'applied', job[4])
    if ARGV[10] ~= '' then redis.call('HSET', customer, 'key_updated', ARGV[10]) end
  end
  if job[5] and job[6] and ARGV[6] ~= '1' then -- it ends in doubt: what it sent may land yet, and newer ones wait that out
    redis.call('HSET', customer, 'doubt_until', job[6])
  end
  local others = redis.call('ZRANGE', customer .. ':open', 0, -1)
  for _, id in ipairs(others) do
    local other = redis.call('HMGET', ARGV[8] .. id, 'reason', 'lease')
    if other[1] == 'order' and not other[2] then
      redis.call('HSET', ARGV[8] .. id, 'next_at', string.format('%.6f', now))
      redis.call('ZADD', KEYS[2], string.format('%.6f', now), id)
    end
  end
  if #others == 0 then redis.call('EXPIRE', customer, ARGV[5]) end
end
redis.call('XADD', KEYS[3], 'MINID', '~', (tonumber(time[1]) - tonumber(ARGV[5])) * 1000, '*', 'outcome', ARGV[3])
redis.call('SETEX', KEYS[4], ARGV[5], ARGV[4])
redis.call('PUBLISH', KEYS[4], ARGV[4])
return ARGV[3]
