-- KEYS: 1 answer  2 questions asked  3 those asked before
-- ARGV: 1 mark of the asker  2 its life (ms)  3 mark of the author to be replaced, or ""
--       4 period (ms)  5... bits of the question
-- Reply: an answer, the mark of its author (perhaps the asker's own), or nil: asked for the first
-- time. Marks and answers differ in their first letter.
local found = redis.call('GET', KEYS[1])
if found and found ~= ARGV[3] then return found end
if not found then
  local period, life = tonumber(ARGV[4]), redis.call('PTTL', KEYS[2])
  if life >= 0 and life <= period then
    -- What was asked in this period is kept for one more, beside what is asked from now on.
    redis.call('RENAME', KEYS[2], KEYS[3])
    life = -2
  end
  local note, read = {}, {}
  for at = 5, #ARGV do
    for _, word in ipairs({'SET', 'u1', ARGV[at], 1}) do table.insert(note, word) end
    for _, word in ipairs({'GET', 'u1', ARGV[at]}) do table.insert(read, word) end
  end
  local function all(bits)
    for _, bit in ipairs(bits) do if bit ~= 1 then return false end end
    return true
  end
  local asked = all(redis.call('BITFIELD', KEYS[2], unpack(note)))
  if life < 0 then redis.call('PEXPIRE', KEYS[2], 2 * period) end
  if not (asked or all(redis.call('BITFIELD', KEYS[3], unpack(read)))) then return false end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
