-- Read fields of some jobs: of the record or, until a worker made one, of what was asked for.
--
-- ARGV  1 prefix of the records   2 prefix of the requests   3 how many jobs   4 … their ids, and then names of fields
-- Gives a list for each job: a text for each name, empty where there is none. Reads only, so no keys: those of a script
-- must be writable.

-- include clock
-- include request
local count, answer = tonumber(ARGV[3]), {}
for i = 4, 3 + count do
  local fields = redis.call('HMGET', ARGV[1] .. ARGV[i], 'digest', unpack(ARGV, 4 + count))
  local asked = not table.remove(fields, 1) and read_request(redis.call('GET', ARGV[2] .. ARGV[i])) or {}
  for at = 1, #ARGV - 3 - count do fields[at] = fields[at] or asked[ARGV[3 + count + at]] or '' end
  answer[#answer + 1] = fields
end
return answer
