-- KEYS: session, conversation, log, audit, audit heads
-- ARGV: 1 epoch, 2 after, 3 first and 4 last number, 5 how many events, 6 how many messages, 7 how many fields,
--   8 '' or 'slide' or 'clear', 9 how many messages go, 10 last active or '', 11 name of this attempt,
--   12 retention in ms or 0, 13 how many records of the audit, 14 now; then the events, the messages, each field with its
--   value, '' where it goes, and the number of each record with the record
local FIRST = 15
local session = redis.call('HMGET', KEYS[1], 'holder', 'epoch', 'seq', 'active', 'attempt', 'owner', 'title', 'born')
if not session[3] then return { 'FENCED' } end
local events, messages = tonumber(ARGV[5]), tonumber(ARGV[6])

-- Before the fence: a commit that was written must not hear that nothing was.
if events > 0 and tonumber(ARGV[4]) <= tonumber(session[3]) then
    local stored = redis.call('XRANGE', KEYS[3], ARGV[3], ARGV[4])
    local same = #stored == events
    for i = 1, #stored do
        same = same and stored[i][2][2] == ARGV[FIRST + i - 1]
    end
    if same then
        if not session[1] or session[2] ~= ARGV[1] then return { 'SUPERSEDED' } end
        return { 'BEFORE', session[6] }
    end
end
if not session[1] or session[2] ~= ARGV[1] then return { 'FENCED' } end
if session[3] ~= ARGV[2] then return { 'CONFLICT', session[3] } end
if events == 0 and session[5] == ARGV[11] then return { 'OK', session[6] } end

-- The head of an audit: when it began, the last number, the last ones removed at all and for size, and the owner.
local records, head = tonumber(ARGV[13]), nil
local first = FIRST + events + messages + 2 * tonumber(ARGV[7])
if records > 0 then
    head = redis.call('HGET', KEYS[5], session[8]) or (ARGV[14] .. ' 0 0 0 ' .. session[6])
    local last = string.match(head, '^%-?%d+ (%d+)')
    -- An earlier version has written records to the log alone: they come first.
    if tonumber(ARGV[first]) > tonumber(last) + 1 then return { 'BEHIND' } end
end

local fields = {}
local function set(name, value)
    fields[#fields + 1] = name
    fields[#fields + 1] = value
end
if ARGV[10] ~= '' and tonumber(ARGV[10]) > tonumber(session[4]) then set('active', ARGV[10]) end
for i = FIRST + events + messages, FIRST + events + messages + 2 * tonumber(ARGV[7]) - 1, 2 do
    if ARGV[i + 1] == '' then
        redis.call('HDEL', KEYS[1], ARGV[i])
    elseif ARGV[i] ~= 'title' or not session[7] then
        set(ARGV[i], ARGV[i + 1])
    end
end
if events > 0 then
    set('seq', ARGV[4])
    set('seq_epoch', ARGV[1])
else
    set('attempt', ARGV[11])
end
redis.call('HSET', KEYS[1], unpack(fields))

local number = tonumber(ARGV[3])
for i = 0, events - 1 do
    redis.call('XADD', KEYS[3], string.format('%.0f-%s', number + i, ARGV[1]), 'e', ARGV[FIRST + i])
end
for i = first, first + 2 * records - 1, 2 do
    redis.call('XADD', KEYS[4], '*', 'b', session[8], 'n', ARGV[i], 'o', session[6], 'e', ARGV[i + 1])
end
if records > 0 then
    local began, removed = string.match(head, '^(%-?%d+) %d+ (%d+ %d+ .*)$')
    redis.call('HSET', KEYS[5], session[8], began .. ' ' .. ARGV[first + 2 * records - 2] .. ' ' .. removed)
end
if ARGV[8] == 'clear' then
    redis.call('DEL', KEYS[2])
elseif ARGV[8] == 'slide' then
    for i = 0, messages - 1 do
        redis.call('RPUSH', KEYS[2], ARGV[FIRST + events + i])
    end
    if ARGV[9] ~= '0' then redis.call('LTRIM', KEYS[2], ARGV[9], -1) end
end
if ARGV[12] ~= '0' then
    for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ARGV[12]) end
end
if events > 0 then redis.call('PUBLISH', KEYS[3], ARGV[4]) end
return { 'OK', session[6] }
