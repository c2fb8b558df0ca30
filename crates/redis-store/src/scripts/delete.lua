-- KEYS: session, conversation, log
-- ARGV: now
local session = redis.call('HMGET', KEYS[1], 'born', 'holder', 'until', 'owner')
if session[2] and tonumber(ARGV[1]) < tonumber(session[3]) then return { 'HELD', session[2], session[3] } end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
if not session[1] then return { 'NONE' } end
redis.call('PUBLISH', KEYS[3], 'deleted')
return { 'OK', session[4] }
