-- Mends an index after a look at the records. An entry that is not as it was seen then is left alone.
-- KEYS: index
-- ARGV: grace in ms; then for each entry: session, score as it was seen, what to do, a number
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local grace = tonumber(ARGV[1])
for i = 2, #ARGV, 4 do
    local id, seen, what = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
    local score = redis.call('ZSCORE', KEYS[1], id)
    if score and tonumber(score) == seen then
        if what == 'set' then
            redis.call('ZADD', KEYS[1], ARGV[i + 3], id)
        elseif seen >= 0 then
            -- On probation from now on. Whoever is about to need the entry makes the score positive again.
            redis.call('ZADD', KEYS[1], string.format('%.0f', -now), id)
        elseif now + seen > grace then
            redis.call('ZREM', KEYS[1], id)
        end
    end
end
return { 'OK' }
