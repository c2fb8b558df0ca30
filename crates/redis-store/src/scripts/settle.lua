-- KEYS: account
-- ARGV: now, key, until when the key is remembered, life of the account in ms, tokens, calls and ms that were spent
local mine = 'h:' .. ARGV[2]
local before = redis.call('HGET', KEYS[1], mine)
local held = '0 0 0'
if before then
    local of, till, state = string.match(before, '^(%d+ %d+ %d+) (%-?%d+) (%a)$')
    if tonumber(till) > tonumber(ARGV[1]) then
        if state == 's' then return { 'OK' } end
        held = of
    end
end
redis.call('HINCRBY', KEYS[1], 'tokens', ARGV[5])
redis.call('HINCRBY', KEYS[1], 'calls', ARGV[6])
redis.call('HINCRBY', KEYS[1], 'wall', ARGV[7])
redis.call('HSET', KEYS[1], mine, held .. ' ' .. ARGV[3] .. ' s')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return { 'OK' }
