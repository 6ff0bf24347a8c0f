-- A customer's or an order's line. Producers write lines: what is no open job leaves them.
local function is_in(line, id, open)
  local is_open = redis.call('ZSCORE', open, id)
  if not is_open then redis.call('ZREM', line, id) end
  return is_open
end
local function first_in(line, open)
  for _, id in ipairs(redis.call('ZRANGE', line, 0, 99)) do
    if is_in(line, id, open) then return id end
  end
end
