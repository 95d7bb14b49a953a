-- KEYS: 1 head of a tenant's audit log (hash)  2 its newest lines (stream, <chain>-<seq>)
-- ARGV: 1 chain of the newest entry as the caller knows it, "" for none  2 its seq  3 its hash
--       4 chain behind the write  5 seq of the last line  6 its hash  7 lines kept here at most
--       8… the lines
-- Appends all lines or none. Reply: outcome, chain, seq and hash of the newest entry ("" for none),
-- the time (ms), the highest chain that has lines.
-- Laws: 1. a line is appended only behind the entry whose hash it holds. 2. What is here already is
-- kept: a reply may have been lost. 3. The head and the newest line are one: else it is torn.
local lines = #ARGV - 7
local first = tonumber(ARGV[5]) - lines + 1
local head = redis.call('HMGET', KEYS[1], 'chain', 'seq', 'hash')
local top_chain, top_seq = 0, 0
if redis.call('EXISTS', KEYS[2]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[2])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      local chain, seq = string.match(info[i + 1], '^(%d+)-(%d+)$')
      top_chain, top_seq = tonumber(chain), tonumber(seq)
    end
  end
end

local function said(outcome)
  return {outcome, head[1] or '', head[2] or '', head[3] or '', now_ms(), top_chain}
end

local there = redis.call('XRANGE', KEYS[2], ARGV[4] .. '-' .. first, ARGV[4] .. '-' .. first)
if #there == 1 and there[1][2][2] == ARGV[8] then return said('kept') end
if (head[1] or '') ~= ARGV[1] or (head[2] or '') ~= ARGV[2] or (head[3] or '') ~= ARGV[3] then
  return said('behind')
end
if ARGV[1] == ARGV[4] then
  if top_chain ~= tonumber(ARGV[4]) or top_seq ~= first - 1 then return said('torn') end
elseif first ~= 1 or tonumber(ARGV[4]) <= top_chain then
  return said('torn')
end
if redis.call('XLEN', KEYS[2]) + lines > tonumber(ARGV[7]) then return said('full') end
for i = 1, lines do
  redis.call('XADD', KEYS[2], ARGV[4] .. '-' .. (first + i - 1), 'e', ARGV[7 + i])
end
redis.call('HSET', KEYS[1], 'chain', ARGV[4], 'seq', ARGV[5], 'hash', ARGV[6])
head = {ARGV[4], ARGV[5], ARGV[6]}
return said('kept')
