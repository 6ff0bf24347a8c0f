#!lua flags=allow-oom
-- Write the outcome of a job, once and everywhere: its own key, stream, Celery's result; and wake who waited for it.
--
-- KEYS  1 billing:job:{job_id}   2 billing:open   3 billing:outcomes   4 celery-task-meta-{job_id}   5 billing:in_doubt
--       6 billing:outcome:{job_id}   7 billing:ended:{status}   8 billing:trace:{job_id}
-- ARGV  1 job_id   2 delivery   3 outcome (JSON)   4 Celery's result (JSON)   5 how long it is kept (seconds)
--       6 from whom the outcome counts: anybody (it says what i'mport did), last (it says that i'mport refused the last
--         POST, and counts unless there was another one since), holder   7 attempts that it speaks of
--       8 prefix of the customers' keys   9 prefix of the records   10 prefix of the orders' keys   11 of their open jobs
--       12 "1" if the job's card is now in force, or may be   13 i'mport's records up to this instant are not of later jobs
--         (Unix seconds of i'mport; empty text if that is not known)   14 paid, in_doubt or empty text
--       15 look-ups that must find nothing before a POST counts as not applied   16 seconds between them
--       17 when to ask i'mport again about a job that ends in doubt (seconds from now)   18 prefix of the customers' open jobs
--       19 prefix of the queues' open jobs   20, 21 prefixes of the customers' and of the orders' finished jobs
--       22, 23 how many of one, and of a status, are kept   24, 25 prefixes of the customers' and of the orders' counters
--       26 prefix of the requests   27 how long it is kept when a customer's card was applied (seconds)
-- Gives the outcome in force: this one, or the one that was written before. Empty text when another delivery has the
-- job and must say.

-- include clock
-- include trace
-- include adopt
-- include place
-- include line
-- include busy
local function note(step) trace(KEYS[8], string.match(ARGV[2], '^[^:]*'), step) end
local known = redis.call('GET', KEYS[6])
if known then return known end
local job = redis.call('HMGET', KEYS[1], 'lease', 'customer_uid', 'sequence', 'sent_at', 'doubtful', 'look_ups',
  'attempts', 'merchant_uid', 'queue', 'as_of')
local is_holder, is_last = job[1] == ARGV[2], (tonumber(job[7]) or 0) <= tonumber(ARGV[7])
if not (is_holder or ARGV[6] == 'anybody' or (ARGV[6] == 'last' and is_last)) then return '' end

redis.call('SETEX', KEYS[6], ARGV[5], ARGV[3])
redis.call('HDEL', KEYS[1], 'lease', 'leased_from', 'leased_until', 'waits_from', 'next_at', 'reason', 'sent_at', 'answer', 'sender')
redis.call('EXPIRE', KEYS[1], ARGV[5])
note('ends ' .. string.match(KEYS[7], '[^:]*$'))
redis.call('EXPIRE', KEYS[8], ARGV[5])
redis.call('ZREM', KEYS[2], ARGV[1])
if job[9] then redis.call('ZREM', ARGV[19] .. job[9], ARGV[1]) end

if ARGV[14] == 'in_doubt' and tonumber(ARGV[7]) > 0 then
  redis.call('ZADD', KEYS[5], instant(now + tonumber(ARGV[17])), ARGV[1])
end

local function keep_id(list, most)
  redis.call('LPUSH', list, ARGV[1])
  redis.call('LTRIM', list, 0, most - 1)
end
keep_id(KEYS[7], tonumber(ARGV[23]))
for key, of in pairs({[ARGV[20]] = job[2], [ARGV[21]] = job[8]}) do
  if of and of ~= '' then
    keep_id(key .. of, tonumber(ARGV[22]))
    redis.call('EXPIRE', key .. of, ARGV[5])
  end
end

-- Who waits for this one and can go on now is taken up.
local function wake(id)
  local other = redis.call('HMGET', ARGV[9] .. id, 'reason', 'lease')
  if other[1] == 'order' and not other[2] then
    redis.call('HSET', ARGV[9] .. id, 'next_at', instant(now))
    redis.call('ZADD', KEYS[2], instant(now), id)
  end
end
local function is_first_of_its_order(id)
  adopt(id, ARGV[26], ARGV[9])
  local order = redis.call('HGET', ARGV[9] .. id, 'merchant_uid')
  local first = order and order ~= '' and first_in(ARGV[11] .. order, KEYS[2])
  return not first or first == id
end
local function forget_later(hash, counter, after)
  redis.call('EXPIRE', hash, after)
  redis.call('EXPIRE', counter, after)
end

if job[2] and job[2] ~= '' then
  local customer, open = ARGV[8] .. job[2], ARGV[18] .. job[2]
  redis.call('ZREM', open, ARGV[1])
  leave_busy(customer, ARGV[1], function(id)
    local stays = redis.call('ZSCORE', open, id)
    if stays then wake(id) end
    return stays
  end)
  local known = redis.call('HMGET', customer, 'applied', 'sequence', 'applied_at')
  local as_of, place, is_newest = tonumber(job[10] or ''), place_of(job[3], job[10])
  if as_of then -- as new as its export, whenever it was sent
    is_newest = (tonumber(known[3]) or 0) <= as_of
  else
    is_newest = (tonumber(known[1]) or 0) < place
  end
  if ARGV[12] == '1' and is_newest then
    redis.call('HSET', customer, 'applied_at', as_of or instant(math.max(now, tonumber(known[3]) or 0)))
    if not as_of then
      local given = tonumber(known[2] or 0) + tonumber(redis.call('GET', ARGV[24] .. job[2]) or 0) -- a producer may make up more
      redis.call('HSET', customer, 'applied', math.min(place, given))
    end
    if ARGV[13] ~= '' then redis.call('HSET', customer, 'key_updated', ARGV[13]) end
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', open, '-inf', place)) do wake(id) end -- superseded
  end
  if ARGV[14] == 'in_doubt' and (job[4] or job[5]) then -- what it sent may land yet, and newer ones wait that out
    local left = tonumber(ARGV[15]) - (tonumber(job[6]) or 0)
    if left > 0 then
      redis.call('HSET', customer, 'doubt_left', left, 'doubt_from', instant(now), 'doubt_next', instant(now + tonumber(ARGV[16])))
    end
  end
  for _, id in ipairs(redis.call('ZRANGE', open, 0, 19, 'REV')) do -- the newest goes first
    if is_in(open, id, KEYS[2]) and is_first_of_its_order(id) then
      wake(id)
      break
    end
  end
  if redis.call('EXISTS', open) == 0 then forget_later(customer, ARGV[24] .. job[2], ARGV[27]) end
end
if job[8] and job[8] ~= '' then
  local order = ARGV[10] .. job[8]
  redis.call('ZREM', ARGV[11] .. job[8], ARGV[1])
  if ARGV[13] ~= '' then redis.call('HSET', order, 'until', ARGV[13]) end
  leave_busy(order, ARGV[1])
  local may_be_paid = ARGV[14] == 'in_doubt' and tonumber(ARGV[7]) > 0
  if ARGV[14] == 'paid' or (may_be_paid and redis.call('HGET', order, 'ended') ~= 'paid') then
    redis.call('HSET', order, 'ended', ARGV[14])
  end
  for _, id in ipairs(redis.call('ZRANGE', ARGV[11] .. job[8], 0, ARGV[14] == '' and 0 or -1)) do wake(id) end
  if redis.call('EXISTS', ARGV[11] .. job[8]) == 0 then forget_later(order, ARGV[25] .. job[8], ARGV[5]) end
end
redis.call('XADD', KEYS[3], 'MINID', '~', (tonumber(time[1]) - tonumber(ARGV[5])) * 1000, '*', 'outcome', ARGV[3])
redis.call('SETEX', KEYS[4], ARGV[5], ARGV[4])
redis.call('PUBLISH', KEYS[4], ARGV[4])
return ARGV[3]
