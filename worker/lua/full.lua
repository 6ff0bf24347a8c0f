#!lua flags=allow-oom
-- Say which store is nearly full, so that jobs are refused; or that none is.
--
-- KEYS  1 billing:full
-- ARGV  1 ledger, vault, or empty text
-- Gives 1 if that changed anything.

if (redis.call('GET', KEYS[1]) or '') == ARGV[1] then return 0 end
if ARGV[1] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[1]) end
return 1
