#!lua flags=allow-oom
-- Keep a text for a while, also in a store at its limit: what is kept lets jobs end, and ending them makes room.
--
-- KEYS  1 the key
-- ARGV  1 the text   2 for how long (milliseconds)
-- Gives 1.

redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
