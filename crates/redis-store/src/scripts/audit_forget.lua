-- Takes a session out of the index of audits, unless it has written since the index was read.
-- KEYS: index
-- ARGV: session, score as it was seen
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if score and tonumber(score) == tonumber(ARGV[2]) then redis.call('ZREM', KEYS[1], ARGV[1]) end
return { 'OK' }
