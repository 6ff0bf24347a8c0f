#!lua flags=allow-oom
-- Note a text under a key, or take the key away.
--
-- KEYS  1 the key
-- ARGV  1 the text; empty to take it away
-- Gives 1 if that changed anything.

if (redis.call('GET', KEYS[1]) or '') == ARGV[1] then return 0 end
if ARGV[1] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[1]) end
return 1
