-- KEYS: account
-- ARGV: now, key, end of the hold, life of the account in ms, then tokens, calls and ms three times: what is wanted, the least,
-- and the ceiling, empty where there is none
local now, mine = tonumber(ARGV[1]), 'h:' .. ARGV[2]
local place = { tokens = 1, calls = 2, wall = 3 }
local spent, held, over = { 0, 0, 0 }, { 0, 0, 0 }, {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
    local name, value = all[i], all[i + 1]
    if place[name] then
        spent[place[name]] = tonumber(value)
    else
        -- Earlier versions wrote an `h` behind it, and an `s` behind what was settled.
        local t, c, w, till, state = string.match(value, '^(%d+) (%d+) (%d+) (%-?%d+) ?(%a?)$')
        if state == 's' or tonumber(till) <= now then
            over[#over + 1] = name
        elseif name == mine then
            return { 'HELD', t, c, w }
        else
            held = { held[1] + tonumber(t), held[2] + tonumber(c), held[3] + tonumber(w) }
        end
    end
end
for _, name in ipairs(over) do redis.call('HDEL', KEYS[1], name) end
local text = function(n) return string.format('%.0f', n) end
local given = {}
for n = 1, 3 do
    local want, least, ceiling = tonumber(ARGV[4 + n]), tonumber(ARGV[7 + n]), ARGV[10 + n]
    if ceiling ~= '' then
        local left = math.max(tonumber(ceiling) - spent[n] - held[n], 0)
        if left < least then
            return { 'FULL', text(n), text(spent[1]), text(spent[2]), text(spent[3]), text(held[1]), text(held[2]), text(held[3]) }
        end
        want = math.min(want, left)
    end
    given[n] = text(want)
end
redis.call('HSET', KEYS[1], mine, given[1] .. ' ' .. given[2] .. ' ' .. given[3] .. ' ' .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return { 'HELD', given[1], given[2], given[3] }
