-- KEYS: session, conversation, log
-- The server's own count: right for what any version wrote, and after any crash. All samples: sizes differ widely.
local bytes = {}
for i = 1, 3 do
    bytes[i] = redis.call('MEMORY', 'USAGE', KEYS[i], 'SAMPLES', '0') or 0
end
return { 'OK', string.format('%.0f', bytes[3]), string.format('%.0f', bytes[1] + bytes[2]) }
