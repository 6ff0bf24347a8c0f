#!lua flags=allow-oom
-- Take the ids that want a message: those whose time has come, and those whose message was surely lost.
--
-- KEYS  1 billing:open   2 billing:swept   3 … billing:fresh:{queue} of each queue, and after them billing:claimed:{queue}
-- ARGV  1 how many at most   2 guard (seconds): when to look at them again, should the new message be lost too
--       3 overtaken (seconds): jobs accepted that much later in the same queue have been claimed already
--       4 how many that were accepted for the queue `migration`: customers must not wait behind them
--       5 … for each queue: how long (seconds) it has been empty without a break, or -1
--       and last the prefix of the records
-- Gives a list of job ids, each followed by the queue that it was accepted for.

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local most, again = tonumber(ARGV[1]), string.format('%.6f', now + tonumber(ARGV[2]))
local queues = (#KEYS - 2) / 2

-- A clock that stepped back leaves instants that lie too far ahead: what began after now is over.
if (tonumber(redis.call('GET', KEYS[2])) or 0) > now then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.6f', now), '+inf')) do
    local job = redis.call('HMGET', ARGV[#ARGV] .. id, 'waits_from', 'leased_from')
    if math.max(tonumber(job[1]) or 0, tonumber(job[2]) or 0) > now then
      redis.call('ZADD', KEYS[1], string.format('%.6f', now), id)
    end
  end
end
redis.call('SET', KEYS[2], string.format('%.6f', now))

for q = 1, queues do
  local fresh, empty_s = KEYS[2 + q], tonumber(ARGV[4 + q])
  local mark = math.min(tonumber(redis.call('GET', KEYS[2 + queues + q])) or 0, now)
  local lost_before = mark - tonumber(ARGV[3])
  if empty_s >= tonumber(ARGV[3]) then lost_before = math.max(lost_before, now - tonumber(ARGV[3])) end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', fresh, '-inf', string.format('(%.6f', lost_before), 'LIMIT', 0, most)) do
    redis.call('ZREM', fresh, id)
    redis.call('ZADD', KEYS[1], string.format('%.6f', now), id)
  end
end

local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.6f', now), 'LIMIT', 0, most)
local answer, room, later = {}, tonumber(ARGV[4]), string.format('%.6f', now + 2)
for _, id in ipairs(due) do
  local job = redis.call('HMGET', ARGV[#ARGV] .. id, 'queue', 'expires_at', 'operation')
  local is_migration = job[1] == 'migration' and now < (tonumber(job[2]) or 0)
  if not job[3] then
    redis.call('ZREM', KEYS[1], id) -- there is no such job
  elseif is_migration and room <= 0 then
    redis.call('ZADD', KEYS[1], later, id) -- out of the way of the others
  else
    redis.call('ZADD', KEYS[1], again, id)
    answer[#answer + 1] = id
    answer[#answer + 1] = job[1] or ''
    if is_migration then room = room - 1 end
  end
end
return answer
