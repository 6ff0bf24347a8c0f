#!lua flags=allow-oom
-- Claim a job: lease it to one delivery, unless another one has it, its time has not come, or its order is not here.
--
-- KEYS  1 billing:job:{job_id}   2 billing:open   3 billing:front   4 billing:outcome:{job_id}
--       5 billing:trace:{job_id}
-- ARGV  1 job_id   2 delivery   3 lease (seconds)   4 prefix of the fresh sets   5 prefix of the passed sets
--       6 prefix of the customers' keys   7 prefix of the records   8 seconds between two look-ups that count
--       9 prefix of the orders' keys   10 prefix of the orders' open jobs   11 the queue `recovery`
--       12 prefix of the customers' open jobs   13 billing:pause (not among the keys: those of a script must be writable)
--       14 billing:paused   15 prefix of the requests   16 billing:remembered (as 13)   17 billing:kids
-- Gives {word, …}: unknown; waiting (not due, or in another delivery's hands); finished, then operation, customer_uid,
-- merchant_uid, sequence, accepted_at, traceparent and outcome; order or paused (it waits from now on), then the same and for
-- how long; or claimed, then now, the fields of the record that are listed first below, newer_applied, known_until,
-- order_ended, given_up, as_of, "1" if i'mport must be asked whether it has a newer card, and traceparent (instants as text,
-- Unix seconds; empty text where there is none). A repeat by the same delivery gives the same lease.

-- include clock
-- include trace
-- include adopt
-- include place
-- include line
local function note(step) trace(KEYS[5], string.match(ARGV[2], '^[^:]*'), step) end

local names = {'operation', 'customer_uid', 'merchant_uid', 'sequence', 'accepted_at', 'expires_at', 'attempts', 'claims',
  'sent_at', 'reason', 'kid', 'first_sent_at', 'doubtful', 'look_ups', 'answer', 'transients', 'digest',
  'lease', 'leased_from', 'leased_until', 'waits_from', 'next_at', 'queue', 'given_up', 'as_of', 'traceparent'}
local job = {}
local function read()
  for i, value in ipairs(redis.call('HMGET', KEYS[1], unpack(names))) do job[names[i]] = value or nil end
end
read()
if not job.operation then
  adopt(ARGV[1], ARGV[15], ARGV[7])
  read()
end

-- Its message has come, and tells how far its queue is.
local function arrived(queue)
  local fresh = ARGV[4] .. queue
  local at = redis.call('ZSCORE', fresh, ARGV[1])
  if not at then return end
  redis.call('ZREM', fresh, ARGV[1])
  redis.call('ZADD', ARGV[5] .. queue, instant(math.min(tonumber(at), now)), ARGV[1])
end
arrived(ARGV[11])
if job.queue then arrived(job.queue) end
redis.call('ZREM', KEYS[3], ARGV[1])

local outcome = redis.call('GET', KEYS[4])
local function with_name(word, last)
  return {word, job.operation or '', job.customer_uid or '', job.merchant_uid or '', job.sequence or '0',
    job.accepted_at or '0', job.traceparent or '', last}
end
if outcome then return with_name('finished', outcome) end
if not job.operation then
  redis.call('ZREM', KEYS[2], ARGV[1]) -- no sweep brings it again
  return {'unknown'}
end

-- A span that begins after now was written before the clock stepped back: it is over. None of ours is longer than a week.
local function within(from, until_)
  return (tonumber(from) or 0) <= now and now < (tonumber(until_) or 0) and tonumber(until_) - now < 700000
end

local mine = job.lease == ARGV[2]
if not mine then
  if job.lease and within(job.leased_from, job.leased_until) then return {'waiting'} end
  if job.next_at and within(job.waits_from, job.next_at) then return {'waiting'} end
end

-- Order. A look-up needs none, and neither does a job that ends here anyway. One that is sent once more after an
-- unanswered POST goes before all others but the newer ones that are in doubt, too.
local is_free = mine or job.sent_at or job.given_up or now >= tonumber(job.expires_at)
local newer_applied, known_until, order_ended, is_unsure, wait_until = '', '', '', '', 0
local function wait_for(seconds) wait_until = math.max(wait_until, now + seconds) end
local function is_first_of_its_order(id, merchant_uid)
  if not merchant_uid or merchant_uid == '' then return true end
  local first = first_in(ARGV[10] .. merchant_uid, KEYS[2])
  return not first or first == id
end

local known_busy, order_busy = '', ''
if job.customer_uid ~= '' then
  local customer, place, as_of = ARGV[6] .. job.customer_uid, place_of(job.sequence, job.as_of), tonumber(job.as_of)
  local known = redis.call('HMGET', customer, 'applied', 'key_updated', 'doubt_left', 'doubt_from', 'doubt_next', 'busy', 'applied_at')
  known_until, known_busy = known[2] or '', known[6] or ''
  if as_of and not (known[7] or job.sent_at or job.doubtful) then -- what the ledger does not remember i'mport may
    local memory = redis.call('HMGET', ARGV[16], 'since', 'kept')
    local since = math.max(tonumber(memory[1]) or now, now - (tonumber(memory[2]) or 0))
    if as_of < since then is_unsure = '1' end
  end
  if (as_of and (tonumber(known[7]) or 0) > as_of) or (not as_of and (tonumber(known[1]) or 0) > place) then
    newer_applied = '1'
  elseif not is_free then
    local left = tonumber(known[3]) or 0 -- what a job in doubt sent may land yet; counted, so that a step costs one turn
    if left > 0 and not job.doubtful then
      if not within(known[4], known[5]) then
        left = left - 1
        redis.call('HSET', customer, 'doubt_left', left, 'doubt_from', instant(now), 'doubt_next', instant(now + tonumber(ARGV[8])))
        wait_for(tonumber(ARGV[8]))
      else
        wait_for(tonumber(known[5]) - now)
      end
      if left == 0 then redis.call('HDEL', customer, 'doubt_left', 'doubt_from', 'doubt_next') end
    end
    for id in string.gmatch(known_busy, '%S+') do -- in flight or in doubt
      if id ~= ARGV[1] then
        local other = redis.call('HMGET', ARGV[7] .. id, 'lease', 'leased_from', 'leased_until', 'sent_at', 'doubtful', 'sequence', 'as_of')
        local is_newer, is_in_doubt = place_of(other[6], other[7]) > place, other[4] or other[5]
        if is_in_doubt then
          if is_newer or not job.doubtful then wait_for(15) end
        elseif other[1] and within(other[2], other[3]) then
          wait_for(math.min(tonumber(other[3]) - now, 15))
        end
      end
    end
    -- The newest goes first; that is a matter of speed, so a look at a few will do.
    if wait_until == 0 and not job.doubtful then
      local line = ARGV[12] .. job.customer_uid
      for _, id in ipairs(redis.call('ZRANGE', line, '+inf', '(' .. place, 'BYSCORE', 'REV', 'LIMIT', 0, 20)) do
        adopt(id, ARGV[15], ARGV[7])
        if is_in(line, id, KEYS[2]) and is_first_of_its_order(id, redis.call('HGET', ARGV[7] .. id, 'merchant_uid')) then
          wait_for(30)
          break
        end
      end
    end
  end
end

if job.merchant_uid ~= '' then
  local known = redis.call('HMGET', ARGV[9] .. job.merchant_uid, 'ended', 'until', 'busy')
  order_ended, known_until, order_busy = known[1] or '', known[2] or '', known[3] or ''
  if order_ended == '' and not is_free then
    if not is_first_of_its_order(ARGV[1], job.merchant_uid) then wait_for(30) end
    for id in string.gmatch(order_busy, '%S+') do -- in flight or in doubt, whatever its place
      local other = id ~= ARGV[1] and redis.call('HMGET', ARGV[7] .. id, 'lease', 'leased_from', 'leased_until', 'sent_at', 'doubtful')
      if other and (other[4] or other[5] or (other[1] and within(other[2], other[3]))) then wait_for(15) end
    end
  end
end

-- A pause stops what would be POSTed, and not what ends here anyway.
local reason = 'order'
local ends_here = order_ended ~= '' or (newer_applied ~= '' and job.merchant_uid == '')
local pause = redis.call('HMGET', ARGV[13], 'from', 'until')
if not is_free and not ends_here and within(pause[1], pause[2]) then
  reason, wait_until = 'paused', tonumber(pause[2])
  redis.call('ZADD', ARGV[14], job.accepted_at, ARGV[1])
end

if wait_until > 0 then -- finishing one of them, or the end of the pause, wakes it earlier
  local next_at = instant(math.min(wait_until, tonumber(job.expires_at)))
  redis.call('HSET', KEYS[1], 'next_at', next_at, 'waits_from', instant(now), 'reason', reason, 'claims', 0)
  redis.call('HDEL', KEYS[1], 'lease', 'leased_from', 'leased_until')
  redis.call('ZADD', KEYS[2], next_at, ARGV[1])
  note(string.format('waits %s %.1f', reason, tonumber(next_at) - now))
  return with_name(reason, instant(tonumber(next_at) - now))
end

if not mine then
  job.claims = redis.call('HINCRBY', KEYS[1], 'claims', 1)
  note('claimed')
  local used_at = math.min(tonumber(job.accepted_at), now)
  if (tonumber(redis.call('HGET', ARGV[17], job.kid)) or 0) < used_at then
    redis.call('HSET', ARGV[17], job.kid, instant(used_at))
  end
end
local function keep_busy(hash, busy)
  if not string.find(busy, ARGV[1], 1, true) then redis.call('HSET', hash, 'busy', busy .. ' ' .. ARGV[1]) end
  redis.call('PERSIST', hash)
end
if job.customer_uid ~= '' then keep_busy(ARGV[6] .. job.customer_uid, known_busy) end
if job.merchant_uid ~= '' then keep_busy(ARGV[9] .. job.merchant_uid, order_busy) end
local until_ = instant(now + tonumber(ARGV[3]))
redis.call('HSET', KEYS[1], 'lease', ARGV[2], 'leased_from', instant(now), 'leased_until', until_)
redis.call('ZADD', KEYS[2], until_, ARGV[1])

local answer = {'claimed', instant(now)}
for i = 1, 17 do answer[i + 2] = tostring(job[names[i]] or '') end
for i, value in ipairs({newer_applied, known_until, order_ended, job.given_up or '', job.as_of or '', is_unsure,
    job.traceparent or ''}) do
  answer[i + 19] = value
end
return answer
