-- KEYS: 1 counts of a day  2 questions of it  3 unanswered ones  4 what was counted
-- ARGV: 1 what is counted, by name  2 for how long that is known (s)  3 for how long a day is kept (s)
--       4 most questions that are kept  5 question ('' = none)  6 it was not answered ('1')
--       7 and on: field, number
-- Counts, once. Reply: 'ok' or 'again'.
if redis.call('SADD', KEYS[4], ARGV[1]) == 0 then return 'again' end
redis.call('EXPIRE', KEYS[4], ARGV[2])
for at = 7, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[at], ARGV[at + 1]) end
redis.call('EXPIRE', KEYS[1], ARGV[3])

-- A new one takes the place of the rarest, so that what begins to be asked often finds a place.
local function ask(key)
  if not redis.call('ZSCORE', key, ARGV[5]) and redis.call('ZCARD', key) >= tonumber(ARGV[4]) then
    redis.call('ZPOPMIN', key)
  end
  redis.call('ZINCRBY', key, 1, ARGV[5])
  redis.call('EXPIRE', key, ARGV[3])
end
if ARGV[5] ~= '' then
  ask(KEYS[2])
  if ARGV[6] == '1' then ask(KEYS[3]) end
end
return 'ok'
