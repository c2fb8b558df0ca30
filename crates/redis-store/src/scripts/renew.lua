-- KEYS: session, conversation, log
-- ARGV: epoch, end of the lease, retention in ms or 0
local session = redis.call('HMGET', KEYS[1], 'holder', 'epoch')
if not session[1] or session[2] ~= ARGV[1] then return { 'FENCED' } end
redis.call('HSET', KEYS[1], 'until', ARGV[2])
if ARGV[3] ~= '0' then
    for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[3]) end
end
return { 'OK' }
