#!lua flags=allow-oom
-- Claim a job: lease it to one delivery, unless another one has it, its time has not come, or its order is not here.
--
-- KEYS  1 billing:job:{job_id}   2 billing:open
-- ARGV  1 job_id   2 delivery   3 lease (seconds)   4 prefix of the fresh sets   5 prefix of the claimed marks
--       6 prefix of the customers' keys   7 prefix of the records   8 doubt (seconds): how long a POST without an answer
--       is looked up before it counts as not applied
-- Gives {word, …}: unknown; finished, outcome; waiting (not due, out of order, or in another delivery's hands); or
-- claimed, then now, operation, customer_uid, merchant_uid, sequence, accepted_at, expires_at, attempts, claims,
-- sent_at, reason, kid, first_sent_at, doubt_until, doubtful, newer_applied, key_updated, transients, digest (instants as
-- text, Unix seconds; empty text where there is none). A repeat by the same delivery gives the same lease.

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local function instant(t) return string.format('%.6f', t) end

local names = {'operation', 'customer_uid', 'merchant_uid', 'sequence', 'accepted_at', 'expires_at', 'attempts', 'claims',
  'sent_at', 'reason', 'kid', 'first_sent_at', 'doubt_until', 'doubtful', 'outcome', 'lease', 'leased_until', 'next_at', 'queue', 'transients', 'digest'}
local job = {}
for i, value in ipairs(redis.call('HMGET', KEYS[1], unpack(names))) do job[names[i]] = value or nil end
if job.outcome then return {'finished', job.outcome} end
if not (job.operation and job.queue and tonumber(job.sequence) and tonumber(job.accepted_at) and tonumber(job.expires_at)
    and tonumber(job.attempts)) then return {'unknown'} end -- or no record that a producer's script wrote

-- The first claim marks how far its queue has come; a message that others overtook by far was lost. One that was only
-- woken at its deadline did not come by its queue.
if redis.call('ZREM', ARGV[4] .. job.queue, ARGV[1]) == 1 and now < tonumber(job.expires_at) then
  local mark = redis.call('GET', ARGV[5] .. job.queue)
  if (tonumber(mark) or 0) < tonumber(job.accepted_at) then
    redis.call('SET', ARGV[5] .. job.queue, job.accepted_at)
  end
end

local mine = job.lease == ARGV[2]
if not mine then
  if job.lease and now < (tonumber(job.leased_until) or 0) then return {'waiting'} end
  if job.next_at and now < (tonumber(job.next_at) or 0) then return {'waiting'} end
end

-- Order among the jobs of a customer_uid. A look-up needs none, and neither does a job that ends here anyway.
local newer_applied, key_updated = '', ''
if job.customer_uid ~= '' then
  local customer, sequence = ARGV[6] .. job.customer_uid, tonumber(job.sequence)
  local known = redis.call('HMGET', customer, 'applied', 'key_updated', 'doubt_until')
  key_updated = known[2] or ''
  if (tonumber(known[1]) or 0) > sequence then
    newer_applied = '1'
  elseif not mine and not job.sent_at and now < tonumber(job.expires_at) then
    local wait_until = tonumber(known[3]) or 0
    if wait_until <= now then wait_until = 0 end
    for _, id in ipairs(redis.call('ZRANGE', customer .. ':open', 0, -1)) do
      if id ~= ARGV[1] then
        local other = redis.call('HMGET', ARGV[7] .. id, 'lease', 'leased_until', 'sent_at', 'doubt_until', 'sequence')
        if other[1] and now < (tonumber(other[2]) or 0) then
          wait_until = math.max(wait_until, tonumber(other[2]))
        elseif other[3] and (not tonumber(other[4]) or now < tonumber(other[4])) then
          wait_until = math.max(wait_until, tonumber(other[4]) or now + 5)
        elseif other[5] and (tonumber(other[5]) or 0) > sequence then
          wait_until = math.max(wait_until, now + 30)
        end
      end
    end
    if wait_until > 0 then -- finishing one of them wakes it earlier
      local next_at = instant(math.min(wait_until, tonumber(job.expires_at)))
      redis.call('HSET', KEYS[1], 'next_at', next_at, 'reason', 'order', 'claims', 0)
      redis.call('HDEL', KEYS[1], 'lease', 'leased_until')
      redis.call('ZADD', KEYS[2], next_at, ARGV[1])
      return {'waiting'}
    end
  end
end

if not mine then job.claims = redis.call('HINCRBY', KEYS[1], 'claims', 1) end
if job.sent_at and not job.doubt_until then -- whoever sent it died without a word
  job.doubt_until = instant(now + tonumber(ARGV[8]))
  redis.call('HSET', KEYS[1], 'doubt_until', job.doubt_until)
end
local until_ = instant(now + tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], 'lease', ARGV[2], 'leased_until', until_)
redis.call('ZADD', KEYS[2], until_, ARGV[1])

local answer = {'claimed', instant(now)}
for i = 1, 14 do answer[i + 2] = tostring(job[names[i]] or '') end
answer[17], answer[18], answer[19] = newer_applied, key_updated, job.transients or '0'
answer[20] = job.digest or ''
return answer
