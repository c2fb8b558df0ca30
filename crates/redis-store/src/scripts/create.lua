-- KEYS: session, conversation, log
-- ARGV: born, layout, record, owner, last active, sandbox or '', busy, checkpoint, retention in ms or 0
local born = redis.call('HGET', KEYS[1], 'born')
if born then
    -- The same attempt again, whose answer was lost.
    return { born == ARGV[1] and 'OK' or 'EXISTS' }
end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
redis.call('HSET', KEYS[1], 'born', ARGV[1], 'v', ARGV[2], 'record', ARGV[3], 'owner', ARGV[4],
    'active', ARGV[5], 'busy', ARGV[7], 'checkpoint', ARGV[8], 'seq', '0', 'seq_epoch', '0', 'trimmed', '0')
if ARGV[6] ~= '' then redis.call('HSET', KEYS[1], 'sandbox', ARGV[6]) end
if ARGV[9] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[9]) end
return { 'OK' }
