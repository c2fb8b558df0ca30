-- KEYS: the owner's rules
-- ARGV: the rule's id, the field of its last use, the use in ms
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return { 'NONE' } end
local before = redis.call('HGET', KEYS[1], ARGV[2])
if not before or tonumber(before) < tonumber(ARGV[3]) then redis.call('HSET', KEYS[1], ARGV[2], ARGV[3]) end
return { 'OK' }
