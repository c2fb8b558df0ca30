-- KEYS: account, the mark of what was settled in it
-- ARGV: key, how long the mark is kept and the account lives in ms, then tokens, calls and ms that were spent
if not redis.call('SET', KEYS[2], '', 'NX', 'PX', ARGV[2]) then return { 'OK' } end
redis.call('HDEL', KEYS[1], 'h:' .. ARGV[1])
redis.call('HINCRBY', KEYS[1], 'tokens', ARGV[4])
redis.call('HINCRBY', KEYS[1], 'calls', ARGV[5])
redis.call('HINCRBY', KEYS[1], 'wall', ARGV[6])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return { 'OK' }
