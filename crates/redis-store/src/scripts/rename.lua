-- KEYS: session, conversation, log
-- ARGV: title, retention in ms or 0
if redis.call('EXISTS', KEYS[1]) == 0 then return { 'NONE' } end
redis.call('HSET', KEYS[1], 'title', ARGV[1])
if ARGV[2] ~= '0' then
    for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
end
return { 'OK' }
