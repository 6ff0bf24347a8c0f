-- Renew the claim of a consumer to what it has in hand; what another one took over meanwhile stays with that one.
--
-- KEYS  1 the stream
-- ARGV  1 group   2 consumer   3 how many at most

for _, entry in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', ARGV[3], ARGV[2])) do
  redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, entry[1], 'JUSTID')
end
