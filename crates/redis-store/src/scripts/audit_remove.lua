-- Removes records from before some time, at most so many, and answers how many, when the oldest that stays was written, and
-- the bytes that are left.
-- KEYS: session, audit, audit heads
-- ARGV: before in ms, at most so many, 1 if this is for size
local CHUNK = 64
local removed, numbers, last = 0, {}, nil
local most, ending = tonumber(ARGV[2]), '(' .. ARGV[1] .. '-0'
while removed < most and ARGV[1] ~= '0' do
    local records = redis.call('XRANGE', KEYS[2], '-', ending, 'COUNT', CHUNK)
    if #records == 0 then break end
    for i = 1, #records do
        local fields = records[i][2]
        numbers[fields[2]] = tonumber(fields[4])
        redis.call('XDEL', KEYS[2], records[i][1])
    end
    removed = removed + #records
end
local born = redis.call('HGET', KEYS[1], 'born')
for of, number in pairs(numbers) do
    local head = redis.call('HGET', KEYS[3], of)
    if head then
        local began, written, gone, for_size, owner = string.match(head, '^(%-?%d+) (%d+) (%d+) (%d+) (.*)$')
        gone = math.max(tonumber(gone), number)
        for_size = math.max(tonumber(for_size), ARGV[3] == '1' and number or 0)
        if gone >= tonumber(written) and of ~= born then
            redis.call('HDEL', KEYS[3], of)
        else
            redis.call('HSET', KEYS[3], of, string.format('%s %s %.0f %.0f %s', began, written, gone, for_size, owner))
        end
    end
end
local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
if #first == 0 then
    redis.call('DEL', KEYS[2])
    return { 'OK', tostring(removed), '', '0' }
end
local bytes = redis.call('MEMORY', 'USAGE', KEYS[2], 'SAMPLES', '0') or 0
return { 'OK', tostring(removed), first[1][1], string.format('%.0f', bytes) }
