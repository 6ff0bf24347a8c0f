-- Count the open jobs whose deadline comes before an instant while nothing is POSTed, a page at a time.
--
-- ARGV  1 billing:open   2 prefix of the records   3 the instant (Unix seconds)   4 rank of the first   5 how many
-- Gives {how many were looked at, how many there are}. Reads only, so no keys: those of a script must be writable.

local found = redis.call('ZRANGE', ARGV[1], '-inf', ARGV[3], 'BYSCORE', 'LIMIT', ARGV[4], ARGV[5])
local count = 0
for _, id in ipairs(found) do
  local job = redis.call('HMGET', ARGV[2] .. id, 'expires_at', 'sent_at')
  local is_early = not job[1] or tonumber(job[1]) < tonumber(ARGV[3]) -- without a record it stands here by its deadline
  if is_early and not job[2] then count = count + 1 end
end
return {#found, count}
