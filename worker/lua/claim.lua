-- Claim a job: lease it to one delivery.
--
-- KEYS  1 billing:job:{job_id}   2 billing:open
-- ARGV  1 job_id   2 delivery   3 lease (seconds)   4 prefix of the fresh sets   5 prefix of the claimed marks
-- Gives {word, …}: unknown; finished, outcome; waiting (not due, or in another delivery's hands); or
-- claimed, then now, operation, customer_uid, merchant_uid, sequence, accepted_at, expires_at, attempts, claims,
-- sent_at, reason, kid (instants as text, Unix seconds; empty text where there is none). A repeat by the same delivery
-- gives the same lease.

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local function instant(t) return string.format('%.6f', t) end

local job = redis.call('HMGET', KEYS[1], 'operation', 'customer_uid', 'merchant_uid', 'sequence', 'accepted_at',
  'expires_at', 'attempts', 'claims', 'sent_at', 'reason', 'kid', 'outcome', 'lease', 'leased_until', 'next_at', 'queue')
local operation, outcome, lease, leased_until, next_at, queue = job[1], job[12], job[13], job[14], job[15], job[16]
if outcome then return {'finished', outcome} end
if not operation then return {'unknown'} end

local mine = lease == ARGV[2]
if not mine then
  if lease and now < tonumber(leased_until) then return {'waiting'} end
  if next_at and now < tonumber(next_at) then return {'waiting'} end
  job[8] = redis.call('HINCRBY', KEYS[1], 'claims', 1)
end
local until_ = instant(now + tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], 'lease', ARGV[2], 'leased_until', until_)
redis.call('ZADD', KEYS[2], until_, ARGV[1])

-- The first claim marks how far its queue has come; a message that others overtook by far was lost.
if redis.call('ZREM', ARGV[4] .. queue, ARGV[1]) == 1 then
  local mark = redis.call('GET', ARGV[5] .. queue)
  if not mark or tonumber(mark) < tonumber(job[5]) then redis.call('SET', ARGV[5] .. queue, job[5]) end
end

local answer = {'claimed', instant(now)}
for i = 1, 11 do answer[i + 2] = tostring(job[i] or '') end
return answer
