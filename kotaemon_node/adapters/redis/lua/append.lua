-- KEYS: 1 meta  2 turn  3 frames
-- ARGV: 1 epoch  2 fence  3 owner  4 first seq  5 frames ttl (s)  6 frames max
--       7 progress noted every (ms)  8 count of journal entries
--       then step, JSON of each entry; then field, value of each frame
-- Stores frames under consecutive numbers, and what the turn decided before it wrote them. Who is
-- not the owner under this fence stores nothing.
-- Most calls write one command, without a transaction around it: the append-only file holds little
-- more than the text. The signal to readers is sent beside the script for the same reason.
-- Reply: 'ok', 'gone', 'fenced', 'gap', 'full'.
local meta, turn, frames = unpack(KEYS)
if redis.call('HGET', meta, 'epoch') ~= ARGV[1] then return 'gone' end
local held = redis.call('HMGET', turn, 'fence', 'owner', 'state', 'progress_ms')
if held[1] ~= ARGV[2] or held[2] ~= ARGV[3] or held[3] ~= 'running' then return 'fenced' end
local last, first = last_seq(frames), tonumber(ARGV[4])
local steps = tonumber(ARGV[8])
local offset = 8 + 2 * steps
local count = (#ARGV - offset) / 2
if first > last + 1 then return 'gap' end
if first + count - 1 > tonumber(ARGV[6]) then return 'full' end
for i = 1, steps do
  -- Decided once: whoever repeats a step finds what was decided.
  redis.call('HSETNX', turn, 'j:' .. ARGV[7 + 2 * i], ARGV[8 + 2 * i])
end
for i = 1, count do
  local seq = first + i - 1
  -- Numbers up to `last` are ours from a call whose reply was lost: the fence admits nobody else.
  if seq > last then
    redis.call('XADD', frames, seq, ARGV[offset - 1 + 2 * i], ARGV[offset + 2 * i])
  end
end
-- Longer than any turn, so once is enough; the commit sets another.
if last == 0 then redis.call('EXPIRE', frames, ARGV[5]) end
local now = now_ms()
if now - tonumber(held[4]) >= tonumber(ARGV[7]) then
  redis.call('HSET', turn, 'progress_ms', now)
end
return 'ok'
