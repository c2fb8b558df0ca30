-- KEYS: session, log
-- ARGV: epoch, through
local session = redis.call('HMGET', KEYS[1], 'holder', 'epoch', 'checkpoint', 'seq', 'trimmed')
if not session[1] or session[2] ~= ARGV[1] then return { 'FENCED' } end
local through = math.min(tonumber(ARGV[2]), tonumber(session[3]), tonumber(session[4]))
if through > tonumber(session[5]) then
    redis.call('XTRIM', KEYS[2], 'MINID', string.format('%.0f', through + 1))
    redis.call('HSET', KEYS[1], 'trimmed', string.format('%.0f', through))
end
return { 'OK' }
