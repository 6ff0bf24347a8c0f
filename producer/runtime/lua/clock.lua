local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local function instant(t) return string.format('%.6f', t) end
