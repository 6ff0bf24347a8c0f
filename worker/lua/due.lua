#!lua flags=allow-oom
-- Take the ids that want a message: those whose time has come, and those whose message was surely lost.
--
-- KEYS  1 billing:open   2 billing:swept   3 billing:overtaken   4 billing:comebacks   5 billing:front
--       6 … billing:fresh:{queue} of each queue, and after them billing:passed:{queue}
-- ARGV  1 how many for `recovery`   2 how many for the front of `migration`, or for `recovery` where there is no front
--       3 "1" if there is one   4 places of all living processes   5 seconds until what many overtook counts as lost
--       6 seconds after which nothing comes from an empty queue   7 guard (seconds): when a job past its deadline is looked
--       at again   8 prefix of the records   9 prefix of the traces   10 prefix of the requests
--       11 … for each queue: how long (seconds) it has been empty without a break, or -1
--       and last the queues, `recovery` first and `migration` last
-- Gives a list: job id, the queue that it was accepted for, and the queue for its message; of those for `migration` the
-- one that goes to the front first comes last.
--
-- Queues are first in, first out. An id whose message was not claimed stands in a fresh set by the instant of its
-- publication. It is overtaken once as many later ones were claimed as all processes have places (`passed` holds those),
-- for then its message lies in none of them.

-- include clock
-- include trace
-- include adopt
local queues, record = (#KEYS - 5) / 2, ARGV[8]
local function name(q) return ARGV[10 + queues + q] end
local recovery, migration = 1, queues
local places = math.max(tonumber(ARGV[4]), 1)

-- A clock that stepped back leaves instants that lie too far ahead: what began after now is over.
if (tonumber(redis.call('GET', KEYS[2])) or 0) > now then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. instant(now), '+inf')) do
    local job = redis.call('HMGET', record .. id, 'waits_from', 'leased_from')
    if math.max(tonumber(job[1]) or 0, tonumber(job[2]) or 0) > now then redis.call('ZADD', KEYS[1], instant(now), id) end
  end
  redis.call('DEL', KEYS[3])
  for key = 4, 5 + queues do
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[key], '(' .. instant(now), '+inf')) do
      redis.call('ZADD', KEYS[key], instant(now), id)
    end
  end
  for q = 1, queues do redis.call('DEL', KEYS[5 + queues + q]) end
end
redis.call('SET', KEYS[2], instant(now))

-- Where a queue has come to: messages that were published before are in nobody's hands any more.
local function overtaken(q)
  local passed, queue = KEYS[5 + queues + q], name(q)
  redis.call('ZREMRANGEBYRANK', passed, 0, -places - 1)
  local lowest = redis.call('ZCARD', passed) >= places and redis.call('ZRANGE', passed, 0, 0, 'WITHSCORES')[2]
  local known = redis.call('HMGET', KEYS[3], queue, queue .. ':next', queue .. ':since')
  local before, next_, since = tonumber(known[1]) or 0, tonumber(known[2]), tonumber(known[3])
  if next_ and now - since >= tonumber(ARGV[5]) then before, next_ = math.max(before, next_), nil end
  if not next_ and lowest and tonumber(lowest) > before then
    redis.call('HSET', KEYS[3], queue .. ':next', lowest, queue .. ':since', instant(now))
  elseif not next_ and since then
    redis.call('HDEL', KEYS[3], queue .. ':next', queue .. ':since')
  end
  if tonumber(ARGV[10 + q]) >= tonumber(ARGV[6]) then before = math.max(before, now - tonumber(ARGV[6])) end
  if before ~= (tonumber(known[1]) or 0) then redis.call('HSET', KEYS[3], queue, instant(before)) end
  return before
end
local before = {}
for q = 1, queues do before[q] = overtaken(q) end

local room, front_room = tonumber(ARGV[1]), tonumber(ARGV[2])
local has_front, batch, answer = ARGV[3] == '1', {}, {}
if not has_front then front_room = math.min(front_room, room) end
local function publish(id, queue)
  redis.call('ZADD', KEYS[5 + recovery], instant(now), id)
  answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = id, queue or '', name(recovery)
  room = room - 1
end
local function publish_comeback(id)
  front_room = front_room - 1
  if has_front then batch[#batch + 1] = id else publish(id, name(migration)) end
end

-- Producers write open and fresh: what they put further ahead than a job can live, or a message be on its way, is due now.
for key = 1, 5 + queues do
  if key == 1 or key > 5 then
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[key], instant(now + (key == 1 and 700000 or 60)), '+inf', 'LIMIT', 0, 100)) do
      redis.call('ZADD', KEYS[key], instant(now), id)
    end
  end
end

-- Whose time has come. Migrations leave room to customers, except for a doubt, and for what is over.
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', instant(now), 'WITHSCORES', 'LIMIT', 0, 1000)
for i = 1, #due, 2 do
  local id = due[i]
  adopt(id, ARGV[10], record)
  local job = redis.call('HMGET', record .. id, 'queue', 'expires_at', 'operation', 'sent_at', 'doubtful', 'given_up')
  local expires_at = tonumber(job[2]) or 0
  local is_over = now >= expires_at or job[6]
  local is_comeback = job[1] == name(migration) and not is_over and not job[4] and not job[5]
  if not job[3] then
    redis.call('ZREM', KEYS[1], id) -- there is no such job
  elseif is_comeback or room > 0 then
    redis.call('ZADD', KEYS[1], instant(is_over and now + tonumber(ARGV[7]) or expires_at), id)
    for q = 1, queues do redis.call('ZREM', KEYS[5 + q], id) end
    if is_comeback then
      redis.call('ZADD', KEYS[4], due[i + 1], id)
    else
      publish(id, job[1])
    end
  end
end

-- What was lost on the way.
for q = 1, queues - 1 do
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5 + q], '-inf', '(' .. instant(before[q]), 'LIMIT', 0, math.max(room, 0))) do
    redis.call('ZREM', KEYS[5 + q], id)
    if redis.call('ZSCORE', KEYS[1], id) then
      adopt(id, ARGV[10], record)
      local queue = redis.call('HGET', record .. id, 'queue')
      if queue then
        publish(id, queue)
        trace(ARGV[9] .. id, '-', 'published')
      end
    end
  end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', '(' .. instant(before[migration]))) do
  redis.call('ZREM', KEYS[5], id)
  redis.call('ZADD', KEYS[4], instant(now), id)
end

-- Migrations come back to the front of their queue, the next few once the last few were claimed; retries before what was
-- lost, which may be the whole queue.
if not has_front or redis.call('ZCARD', KEYS[5]) == 0 then
  for _, lost in ipairs({{KEYS[4], '+inf'}, {KEYS[5 + migration], '(' .. instant(before[migration])}}) do
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', lost[1], '-inf', lost[2], 'LIMIT', 0, math.max(front_room, 0))) do
      redis.call('ZREM', lost[1], id)
      if redis.call('ZSCORE', KEYS[1], id) then publish_comeback(id) end
    end
  end
  local head = redis.call('ZRANGE', KEYS[5 + queues + migration], 0, 0, 'REV', 'WITHSCORES')[2]
  local at = instant(math.max(before[migration], math.min(tonumber(head) or 0, now)))
  for i = #batch, 1, -1 do
    redis.call('ZADD', KEYS[5], at, batch[i])
    answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = batch[i], name(migration), name(migration)
  end
end
return answer
