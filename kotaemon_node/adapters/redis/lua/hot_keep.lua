-- KEYS: 1 answer  2 bytes kept in this share of all answers
-- ARGV: 1 mark of the asker  2 the answer, "" for none  3 its life (ms)  4 bytes at most
-- Keeps an answer, whoever is its author by now: it is the same one. Reply: 1, or 0 if it is not
-- kept. The bytes are counted from the first answer on until its life ends.
local found = redis.call('GET', KEYS[1])
if ARGV[2] ~= '' then
  if found and string.sub(found, 1, 1) == string.sub(ARGV[2], 1, 1) then return 0 end
  local kept = tonumber(redis.call('GET', KEYS[2]) or '0')
  if kept + #ARGV[2] <= tonumber(ARGV[4]) then
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
    redis.call('INCRBY', KEYS[2], #ARGV[2])
    if kept == 0 then redis.call('PEXPIRE', KEYS[2], ARGV[3]) end
    return 1
  end
end
if found == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 0
