-- KEYS: 1 head of a tenant's audit log (hash)  2 its newest lines (stream, <chain>-<seq>)
-- ARGV: 1 id of the line behind which these come, "" for none  2 chain of the head, "" while more
--       lines follow  3 its seq  4 its hash  5… id and line, in turns
-- Puts lines of a backup back, piece by piece. Reply: 1; 0 where there is a log already.
-- Laws: 1. a log that somebody began is left alone: its head is there. 2. The head comes last, so
-- nobody goes on behind lines that are not all there. 3. A piece is put once, in its place.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local last = ''
if redis.call('EXISTS', KEYS[2]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[2])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = info[i + 1] end
  end
end
if last ~= ARGV[#ARGV - 1] then
  if last ~= ARGV[1] then return 0 end
  for i = 5, #ARGV, 2 do
    redis.call('XADD', KEYS[2], ARGV[i], 'e', ARGV[i + 1])
  end
end
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], 'chain', ARGV[2], 'seq', ARGV[3], 'hash', ARGV[4])
end
return 1
