-- KEYS: session, conversation, log, audit, audit heads, budget; the audit stays
-- ARGV: now
local session = redis.call('HMGET', KEYS[1], 'born', 'holder', 'until', 'owner')
if session[2] and tonumber(ARGV[1]) < tonumber(session[3]) then return { 'HELD', session[2], session[3] } end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3], KEYS[6])
if not session[1] then return { 'NONE' } end
local head = redis.call('HGET', KEYS[5], session[1])
if head then
    local last, removed = string.match(head, '^%-?%d+ (%d+) (%d+)')
    if tonumber(removed) >= tonumber(last) then redis.call('HDEL', KEYS[5], session[1]) end
end
redis.call('PUBLISH', KEYS[3], 'deleted')
return { 'OK', session[4] }
