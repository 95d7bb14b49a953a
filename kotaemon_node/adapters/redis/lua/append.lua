-- KEYS: 1 meta  2 turn  3 frames
-- ARGV: 1 epoch  2 fence  3 owner  4 first seq  5 turn id  6 signal channel  7 frames ttl (s)
--       8 frames max  then type, JSON of each frame
-- Stores frames under consecutive numbers. Who is not the owner under this fence stores nothing.
-- Reply: 'ok', 'gone', 'fenced', 'gap', 'full'.
local meta, turn, frames = unpack(KEYS)
if redis.call('HGET', meta, 'epoch') ~= ARGV[1] then return 'gone' end
local held = redis.call('HMGET', turn, 'fence', 'owner', 'state')
if held[1] ~= ARGV[2] or held[2] ~= ARGV[3] or held[3] ~= 'running' then return 'fenced' end
local last, first = last_seq(frames), tonumber(ARGV[4])
local count = (#ARGV - 8) / 2
if first > last + 1 then return 'gap' end
if first + count - 1 > tonumber(ARGV[8]) then return 'full' end
for i = 1, count do
  local seq = first + i - 1
  -- Numbers up to `last` are ours from a call whose reply was lost: the fence admits nobody else.
  if seq > last then
    redis.call('XADD', frames, seq .. '-0', 't', ARGV[7 + 2 * i], 'f', ARGV[8 + 2 * i])
  end
end
redis.call('EXPIRE', frames, ARGV[7])
redis.call('HSET', turn, 'progress_ms', now_ms())
redis.call('PUBLISH', ARGV[6], ARGV[5] .. ' ' .. (first + count - 1))
return 'ok'
