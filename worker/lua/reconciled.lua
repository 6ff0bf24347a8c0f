#!lua flags=allow-oom
-- Note what i'mport says of a job that ended in doubt.
--
-- KEYS  1 billing:job:{job_id}   2 billing:in_doubt   3 billing:reconciled
-- ARGV  1 job_id   2 what it says (JSON)   3 when to ask again (seconds from now; empty: never;
--       keep: as planned, and this one does not count)   4 how long it is kept (seconds)
-- Gives 1.

-- include clock
if ARGV[3] ~= 'keep' and redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HINCRBY', KEYS[1], 'asked', 1) end
if ARGV[3] == '' then
  redis.call('ZREM', KEYS[2], ARGV[1])
elseif ARGV[3] ~= 'keep' then
  redis.call('ZADD', KEYS[2], instant(now + tonumber(ARGV[3])), ARGV[1])
end
redis.call('XADD', KEYS[3], 'MINID', '~', (tonumber(time[1]) - tonumber(ARGV[4])) * 1000, '*', 'reconciled', ARGV[2])
return 1
