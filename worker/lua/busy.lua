-- Jobs of a customer or an order that are in flight or in doubt: a field of its hash, which only workers write.
local function leave_busy(hash, id, stays)
  local busy = {}
  for one in string.gmatch(redis.call('HGET', hash, 'busy') or '', '%S+') do
    if one ~= id and (not stays or stays(one)) then busy[#busy + 1] = one end
  end
  if #busy == 0 then redis.call('HDEL', hash, 'busy') else redis.call('HSET', hash, 'busy', table.concat(busy, ' ')) end
end
