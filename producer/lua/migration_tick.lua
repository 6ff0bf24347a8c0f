-- Hold a migration, for whoever runs it: take or renew the lease, write the checkpoint, learn what was asked.
--
-- KEYS  1 billing:migration:{name}
-- ARGV  1 holder   2 lease in seconds, 0 to give it back   3, 4, … fields and values to write
-- Gives {held, asked, throttle, now} (held 1, else 0 and who holds it until when stays as it was).

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local known = redis.call('HMGET', KEYS[1], 'holder', 'held_until', 'asked', 'throttle')
if known[1] and known[1] ~= ARGV[1] and tonumber(known[2] or 0) > now then
  return {0, known[3] or '', known[4] or '', string.format('%.6f', now)}
end
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'held_until', string.format('%.6f', now + tonumber(ARGV[2])),
  'updated_at', string.format('%.6f', now), unpack(ARGV, 3))
redis.call('EXPIREAT', KEYS[1], math.ceil(now) + 7 * 86400)
return {1, known[3] or '', known[4] or '', string.format('%.6f', now)}
