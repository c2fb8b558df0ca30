-- Changes nothing.
-- KEYS: session, log
-- ARGV: after, at most so many events, and no more once they have so many bytes
local CHUNK = 64
local session = redis.call('HMGET', KEYS[1], 'born', 'seq', 'trimmed')
if not session[1] then return { 'NONE' } end
local after, last, most, bytes = tonumber(ARGV[1]), tonumber(session[2]), tonumber(ARGV[2]), tonumber(ARGV[3])
if after < tonumber(session[3]) then return { 'TRIMMED', session[1], session[3] } end
local page = { 'OK', session[1], session[2] }
while after < last and most > 0 and bytes > 0 do
    -- Large events come one by one, so that a page of them is not loaded to be thrown away.
    local chunk = redis.call('XRANGE', KEYS[2], string.format('%.0f', after + 1), '+', 'COUNT', math.min(CHUNK, most))
    if #chunk == 0 then break end
    for i = 1, #chunk do
        local event = chunk[i][2][2]
        page[#page + 1] = event
        bytes = bytes - #event
        most = most - 1
        after = after + 1
        if bytes <= 0 then break end
    end
end
return page
