-- KEYS: session
-- ARGV: epoch
local session = redis.call('HMGET', KEYS[1], 'holder', 'epoch')
if session[1] and session[2] == ARGV[1] then redis.call('HDEL', KEYS[1], 'holder', 'until') end
return { 'OK' }
