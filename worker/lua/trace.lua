local function trace(key, process, step)
  if redis.call('RPUSH', key, string.format('%.3f %s %s', now, process, step)) > 30 then redis.call('LTRIM', key, -30, -1) end
end
