-- Adds records that an earlier version wrote to the log alone.
-- KEYS: session, audit, audit heads
-- ARGV: born, the last number before, the last number from now on, now; then each number and its record
local session = redis.call('HMGET', KEYS[1], 'born', 'owner')
if session[1] ~= ARGV[1] then return { 'MOVED' } end
local head = redis.call('HGET', KEYS[3], ARGV[1]) or (ARGV[4] .. ' 0 0 0 ' .. session[2])
local began, last, removed = string.match(head, '^(%-?%d+) (%d+) (%d+ %d+ .*)$')
if last ~= ARGV[2] then return { 'MOVED' } end
for i = 5, #ARGV, 2 do
    redis.call('XADD', KEYS[2], '*', 'b', ARGV[1], 'n', ARGV[i], 'o', session[2], 'e', ARGV[i + 1])
end
redis.call('HSET', KEYS[3], ARGV[1], began .. ' ' .. ARGV[3] .. ' ' .. removed)
return { 'OK' }
