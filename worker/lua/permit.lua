#!lua flags=allow-oom
-- May a job go to i'mport now? The shared rate, the shared pause after a 429, the shared breaker; and its sealed request.
--
-- KEYS  1 billing:permit   2 billing:sealed:{job_id}   3 billing:sent:{job_id}
-- ARGV  1 rate (calls per second)   2 "1" for a migration   3 horizon (seconds): how far ahead a place may be reserved
--       4 the part of the rate that is reserved for interactive jobs (0 to 1)
--       5 how long a probe may take before another one goes (seconds)   6 "1" if no request is needed (a look-up)
-- Gives {state, delay, sealed, report, mark}: granted (after a delay in seconds, as text: the place is reserved), later (ask
-- again after the delay), with the sealed request or false; no_request, when there is none and one is needed: no permit
-- is used; "1" if the answer is wanted whatever it is; the mark of its POSTs, or false.
--
-- billing:permit is a hash: tat_open, tat_kept (theoretical arrival times of two GCRAs, on this server's clock), factor
-- (of the rate), factor_at, pause_until, failures (in a row), probe_at (the breaker is open while it is set).

-- include clock
local length = redis.pcall('STRLEN', KEYS[2])
local sealed = ''
if type(length) == 'number' and length <= 8192 then sealed = redis.call('GET', KEYS[2]) end -- else nothing that we signed
local mark = redis.call('GET', KEYS[3])
if not sealed and ARGV[6] ~= '1' then return {'no_request', '0', false, '', mark} end

-- What lies further ahead than it can was written before the clock stepped back: it counts as now.
local function ahead(instant, most)
  local at = tonumber(instant or 0)
  return at <= now + most and at or now
end

local state = redis.call('HMGET', KEYS[1], 'tat_open', 'tat_kept', 'factor', 'factor_at', 'pause_until', 'failures', 'probe_at')
local pause_until, failures, probe_at = ahead(state[5], 300), tonumber(state[6] or 0), ahead(state[7], 300)
if now < pause_until then return {'later', tostring(pause_until - now), sealed, '', mark} end
if probe_at > 0 then
  if now < probe_at then return {'later', tostring(probe_at - now), sealed, '', mark} end
  redis.call('HSET', KEYS[1], 'probe_at', now + tonumber(ARGV[5]))
  return {'granted', '0', sealed, '1', mark}
end

-- The rate climbs back by a hundredth a second since it last fell.
local factor = math.min(1, tonumber(state[3] or 1) + math.max(0, now - tonumber(state[4] or 0)) * 0.01)
local rate, kept_part = tonumber(ARGV[1]) * factor, tonumber(ARGV[4])
local open_step, kept_step = 1 / (rate * (1 - kept_part)), 1 / (rate * kept_part)
local most = tonumber(ARGV[3])
local open_at = math.max(ahead(state[1], most + open_step), now)
local kept_at = math.max(ahead(state[2], most + kept_step), now)

-- An interactive job takes the earlier place of both; a migration takes a kept place only if it is free this instant.
local at, field, step = open_at, 'tat_open', open_step
if kept_at < open_at and (ARGV[2] ~= '1' or kept_at <= now) then at, field, step = kept_at, 'tat_kept', kept_step end
if at - now > most then return {'later', tostring(at - now), sealed, '', mark} end
redis.call('HSET', KEYS[1], field, instant(at + step))
return {'granted', tostring(at - now), sealed, failures > 0 and '1' or '', mark}
