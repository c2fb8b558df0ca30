-- KEYS: session, conversation, log
-- ARGV: holder, now, end of the lease, retention in ms or 0
local session = redis.call('HMGET', KEYS[1], 'born', 'holder', 'until', 'epoch')
if not session[1] then return { 'NONE' } end
if session[2] and session[2] ~= ARGV[1] and tonumber(ARGV[2]) < tonumber(session[3]) then
    return { 'HELD', session[2], session[3] }
end
-- Epochs are microseconds of the server's clock, or the next number where that is not higher: they rise even across a
-- deletion, and across a failover that lost the last claim.
local time = redis.call('TIME')
local epoch = tonumber(time[1]) * 1000000 + tonumber(time[2])
local before = tonumber(session[4] or '0')
if epoch <= before then epoch = before + 1 end
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'until', ARGV[3], 'epoch', string.format('%.0f', epoch))
if ARGV[4] ~= '0' then
    for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[4]) end
end
return { 'OK', redis.call('HGETALL', KEYS[1]) }
