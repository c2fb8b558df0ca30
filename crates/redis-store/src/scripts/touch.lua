-- KEYS: session, conversation, log
-- ARGV: when, retention in ms or 0
local session = redis.call('HMGET', KEYS[1], 'active', 'owner')
if not session[1] then return { 'NONE' } end
if tonumber(ARGV[1]) > tonumber(session[1]) then redis.call('HSET', KEYS[1], 'active', ARGV[1]) end
if ARGV[2] ~= '0' then
    for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
end
return { 'OK', session[2] }
