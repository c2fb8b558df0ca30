-- KEYS: session, log
-- ARGV: epoch, bytes
local session = redis.call('HMGET', KEYS[1], 'holder', 'epoch', 'checkpoint', 'seq', 'trimmed')
if not session[1] or session[2] ~= ARGV[1] then return { 'FENCED' } end
local most, trimmed = tonumber(ARGV[2]), tonumber(session[5])
local limit, through = math.min(tonumber(session[3]), tonumber(session[4])), trimmed
-- In strides, since each measurement walks the stream.
while through < limit and (redis.call('MEMORY', 'USAGE', KEYS[2], 'SAMPLES', '0') or 0) > most do
    through = through + math.max(1, math.floor((limit - through) / 16))
    redis.call('XTRIM', KEYS[2], 'MINID', string.format('%.0f', through + 1))
end
if through > trimmed then redis.call('HSET', KEYS[1], 'trimmed', string.format('%.0f', through)) end
return { 'OK', string.format('%.0f', through) }
