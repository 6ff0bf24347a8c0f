#!lua flags=allow-oom
-- A worker process shows that it lives; what a process held that does not is free. And who sweeps.
--
-- KEYS  1 billing:alive   2 billing:listened   3 billing:sweeper   4 billing:open   5 billing:overtaken
--       6 billing:remembered   7 … billing:passed:{queue} of each queue
-- ARGV  1 process   2 its places   3 seconds without a sign after which a process is given up   4 gap (seconds): a ledger
--       that heard nobody for so long was away   5 how long the sweeper's lock lasts (seconds)   6 how far ahead (seconds)
--       a lease may end   7 prefix of the records   8 prefix of the traces   9 how long (seconds) it is kept
--       when a customer's card was applied   10 … the queues
-- Gives {1 if this process sweeps now, else 0; places of all living processes; processes that were given up}.

-- include clock
-- include trace

-- A ledger that was away, or whose clock stepped, could hear nobody: it listens for a whole time-out first.
local listened = redis.call('HMGET', KEYS[2], 'from', 'at')
local from, at = tonumber(listened[1]) or now, tonumber(listened[2]) or 0
if now < at or now - at > tonumber(ARGV[4]) then from = now end
redis.call('HSET', KEYS[2], 'from', instant(from), 'at', instant(now))
redis.call('HSET', KEYS[1], ARGV[1], instant(now) .. ' ' .. ARGV[2])

-- Since when it is known of each customer when a card was applied: what went when less was kept does not come back.
local memory = redis.call('HMGET', KEYS[6], 'since', 'kept')
local since = math.min(tonumber(memory[1]) or now, now)
if memory[2] and memory[2] ~= ARGV[9] then since = math.max(since, now - tonumber(memory[2])) end
if memory[2] ~= ARGV[9] or since ~= tonumber(memory[1]) then
  redis.call('HSET', KEYS[6], 'since', instant(since), 'kept', ARGV[9])
end

local living, count, places = {}, 0, 0
local signs = redis.call('HGETALL', KEYS[1])
for i = 1, #signs, 2 do
  local sign, its_places = string.match(signs[i + 1], '^(%S+) (%d+)$')
  sign = tonumber(sign) or 0
  if sign > now or sign < from then sign = from end
  if now - sign < tonumber(ARGV[3]) then
    living[signs[i]], places = true, places + (tonumber(its_places) or 0)
  else
    count = count + 1
    redis.call('HDEL', KEYS[1], signs[i])
  end
end

if count > 0 then
  local until_ = instant(now + tonumber(ARGV[6]))
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '(' .. instant(now), until_)) do
    local lease = redis.call('HGET', ARGV[7] .. id, 'lease')
    local process = lease and string.match(lease, '^([^:]*):')
    if process and not living[process] then
      redis.call('HSET', ARGV[7] .. id, 'leased_until', instant(now))
      redis.call('ZADD', KEYS[4], instant(now), id)
      trace(ARGV[8] .. id, process, 'dead')
    end
  end
  for q = 7, #KEYS do -- what it had popped and not claimed was overtaken by what others claimed since
    local newest = redis.call('ZRANGE', KEYS[q], 0, 0, 'REV', 'WITHSCORES')[2]
    local before = tonumber(redis.call('HGET', KEYS[5], ARGV[q + 3])) or 0
    if newest and tonumber(newest) > before then redis.call('HSET', KEYS[5], ARGV[q + 3], newest) end
  end
end

local holder = redis.call('GET', KEYS[3])
local is_stale = redis.call('PTTL', KEYS[3]) > tonumber(ARGV[5]) * 1000 -- it was taken before the clock stepped back
if holder and holder ~= ARGV[1] and not is_stale then return {0, places, count} end
redis.call('SET', KEYS[3], ARGV[1], 'EX', ARGV[5])
return {1, places, count}
