#!lua flags=allow-oom
-- Give a job back, to be taken up again later.
--
-- KEYS  1 billing:job:{job_id}   2 billing:open   3 billing:trace:{job_id}
-- ARGV  1 job_id   2 delivery   3 delay (seconds)   4 reason
--       5 what became of its last POST: unsent (surely not applied, or there was none), doubt (only a look-up can tell),
--         presumed (looked up for long enough: it counts as not applied, but was never proved)
--       6 "1" after a look-up that found nothing   7 what was answered to the last POST (empty to leave that as it is)
--       8 prefix of the customers' keys   9 prefix of the orders' keys
-- Gives 1, or 0 when another delivery has it or it is finished.

-- include clock
-- include trace
-- include busy
local function note(step) trace(KEYS[3], string.match(ARGV[2], '^[^:]*'), step) end

local job = redis.call('HMGET', KEYS[1], 'lease', 'expires_at', 'doubtful', 'customer_uid', 'sender', 'merchant_uid')
if job[1] ~= ARGV[2] then return 0 end

-- It is taken up at its deadline at the latest, to be ended; after that, as it asks.
local next_at, expires_at = now + tonumber(ARGV[3]), tonumber(job[2])
if expires_at > now then next_at = math.min(next_at, expires_at) end
next_at = instant(next_at)
redis.call('HSET', KEYS[1], 'next_at', next_at, 'waits_from', instant(now), 'reason', ARGV[4], 'claims', 0)
redis.call('HDEL', KEYS[1], 'lease', 'leased_from', 'leased_until')
redis.call('ZADD', KEYS[2], next_at, ARGV[1])
note(string.format('waits %s %.1f', ARGV[4], tonumber(next_at) - now))
if ARGV[4] == 'gateway_trouble' or ARGV[4] == 'edge_page' then redis.call('HINCRBY', KEYS[1], 'transients', 1) end

-- A look-up that found nothing tells nothing while the call may go on: until its own process had an answer, or it is cut.
local sender, until_ = string.match(job[5] or '', '^(%S+) (%S+)$')
local is_calling = sender and sender ~= ARGV[2] and now < tonumber(until_) and tonumber(until_) < now + 600
if sender == ARGV[2] then redis.call('HDEL', KEYS[1], 'sender') end
if ARGV[6] == '1' and not is_calling then redis.call('HINCRBY', KEYS[1], 'look_ups', 1) end

if ARGV[5] == 'doubt' then
  if ARGV[7] ~= '' then redis.call('HSET', KEYS[1], 'answer', ARGV[7]) end
else
  redis.call('HDEL', KEYS[1], 'sent_at', 'answer')
  if ARGV[5] == 'presumed' then
    redis.call('HSET', KEYS[1], 'doubtful', 1)
  elseif not job[3] then
    redis.call('HDEL', KEYS[1], 'first_sent_at')
    for at, hash in pairs({[4] = ARGV[8], [6] = ARGV[9]}) do -- neither in flight nor in doubt any more
      if (job[at] or '') ~= '' then leave_busy(hash .. job[at], ARGV[1]) end
    end
  end
end
return 1
