-- include request
-- Make a record of what a producer asked for. From then on only workers may write it.
local function adopt(id, requests, records)
  local text = redis.call('GET', requests .. id)
  if not text then return end
  redis.call('DEL', requests .. id)
  local asked = #id == 36 and string.find(id, '^[%x-]+$') and read_request(text)
  if not asked then return end
  if redis.call('HEXISTS', records .. id, 'digest') == 1 then return end
  for name, value in pairs(asked) do redis.call('HSET', records .. id, name, value) end
  redis.call('HSET', records .. id, 'attempts', 0, 'claims', 0)
end
