-- Accept a job, or recognise one: idempotency, sequence, record, place in the set of open jobs.
--
-- KEYS  1 billing:request:{job_id}   2 billing:open   3 billing:fresh:{queue}   4 billing:customer-open:{uid}
--       5 billing:envelope:{sha256}   6 billing:order-open:{merchant_uid} (of a payment)   7 billing:accepted:{queue}
--       8 billing:customer-sequence:{uid}   9 billing:order-sequence:{merchant_uid}
--       (not used where there is no customer_uid, no order, or no envelope sealed elsewhere)
-- ARGV  1 job_id   2 digest of the request   3 deadline (seconds)   4 queue   5 kid
--       6 operation   7 customer_uid   8 merchant_uid   9 iat   10 exp (Unix seconds; both empty without an envelope)
--       11 billing:outcome:{job_id}   12 billing:full   13 billing:job:{job_id} (not among the keys: those of a script must
--       be writable)   14 as_of (Unix seconds, of a row of an export; else empty)   15 traceparent (empty where nothing is
--       traced)   16 billing:customer:{uid}   17 billing:order:{merchant_uid} (as 11)
-- Gives {word, sequence, accepted_at, expires_at, now} with the word new, open or finished (instants as text, Unix
-- seconds), {full, store}, or {refusal}: conflict, replayed, not_yet_valid, envelope_expired,
-- as_of_ahead. A refusal changes nothing.

-- include clock
-- include request
-- include place

-- Until a worker made a record of it, what is known of a job is what was asked for.
local known = redis.call('HMGET', ARGV[13], 'digest', 'sequence', 'accepted_at', 'expires_at', 'envelope')
local text = not known[1] and redis.call('GET', KEYS[1])
if text then
  local asked = read_request(text)
  if not asked then return {'conflict'} end
  known = {asked.digest, asked.sequence, asked.accepted_at, asked.expires_at, asked.envelope}
end
if known[1] and known[1] ~= ARGV[2] then return {'conflict'} end
if known[1] and redis.call('EXISTS', ARGV[11]) == 1 then return {'finished', known[2], known[3], known[4], instant(now)} end
local full = redis.call('GET', ARGV[12])
if full and not known[1] then return {'full', full} end

if not known[1] and (tonumber(ARGV[14]) or 0) > now then return {'as_of_ahead'} end

-- An envelope sealed elsewhere is accepted once, and its times count only then.
if ARGV[9] ~= '' and known[5] ~= KEYS[5] and redis.call('GET', KEYS[5]) ~= ARGV[1] then
  if redis.call('EXISTS', KEYS[5]) == 1 then return {'replayed'} end
  if now < tonumber(ARGV[9]) - 300 then return {'not_yet_valid'} end
  if now > tonumber(ARGV[10]) then return {'envelope_expired'} end
  redis.call('SETNX', KEYS[5], ARGV[1]) -- not SET: whoever may SET may replace a queue by a text
  redis.call('EXPIREAT', KEYS[5], math.ceil(tonumber(ARGV[10])) + 1)
end

if known[1] then return {'open', known[2], known[3], known[4], instant(now)} end

-- Counters are keys of their own, which producers can only raise; what they counted to before that lies in the hashes.
local function next_of(hash, counter)
  local count = redis.call('INCR', counter) -- first: a full store refuses a script at its first write, if that needs room
  redis.call('PERSIST', counter)
  return count + tonumber(redis.call('HGET', hash, 'sequence') or 0)
end
local sequence = 0
if ARGV[7] ~= '' then
  sequence = next_of(ARGV[16], KEYS[8])
  redis.call('ZADD', KEYS[4], place_of(sequence, ARGV[14]), ARGV[1])
end
if ARGV[8] ~= '' then -- payments of one order go one after another
  redis.call('ZADD', KEYS[6], next_of(ARGV[17], KEYS[9]), ARGV[1])
end
local accepted_at, expires_at = instant(now), instant(now + tonumber(ARGV[3]))
redis.call('SETNX', KEYS[1], cjson.encode({digest = ARGV[2], operation = ARGV[6], customer_uid = ARGV[7],
  merchant_uid = ARGV[8], queue = ARGV[4], kid = ARGV[5], sequence = tostring(sequence), accepted_at = accepted_at,
  expires_at = expires_at, as_of = ARGV[14], envelope = ARGV[9] ~= '' and KEYS[5] or '',
  traceparent = ARGV[15] ~= '' and ARGV[15] or nil}))
redis.call('ZADD', KEYS[2], expires_at, ARGV[1])
redis.call('ZADD', KEYS[3], accepted_at, ARGV[1])
redis.call('ZADD', KEYS[7], accepted_at, ARGV[1])
return {'new', tostring(sequence), accepted_at, expires_at, instant(now)}
