#!lua flags=allow-oom
-- Take a job that ended in doubt and is to be asked about now.
--
-- KEYS  1 billing:in_doubt
-- ARGV  1 prefix of the records   2 guard (seconds): when to take it again, should nothing come of it
-- Gives {job_id, operation, customer_uid, merchant_uid, first_sent_at, asked}, or nothing.

-- include clock
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', instant(now), 'LIMIT', 0, 100)) do
  local job = redis.call('HMGET', ARGV[1] .. id, 'operation', 'customer_uid', 'merchant_uid', 'first_sent_at', 'asked')
  if job[1] then
    redis.call('ZADD', KEYS[1], instant(now + tonumber(ARGV[2])), id)
    return {id, job[1], job[2] or '', job[3] or '', job[4] or '', job[5] or '0'}
  end
  redis.call('ZREM', KEYS[1], id) -- forgotten after its 7 days
end
return {}
