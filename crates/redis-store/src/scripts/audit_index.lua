-- Notes that a session is about to write to the audit trail, by the clock of this server.
-- KEYS: index
-- ARGV: session
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZADD', KEYS[1], 'GT', string.format('%.0f', now), ARGV[1])
return { 'OK' }
