-- KEYS: 1 counts of a day  2 questions of it  3 unanswered ones  4 what was counted
--       5 the words of questions that are known by digests
-- ARGV: 1 what is counted, by name  2 for how long that is known (s)  3 for how long a day is kept (s)
--       4 most questions that are kept  5 question, or its digest ('' = none)
--       6 it was not answered ('1')  7 its words, sealed ('' = 5 says them)
--       8 and on: field, number
-- Counts, once. Reply: 'ok' or 'again'.
if redis.call('SADD', KEYS[4], ARGV[1]) == 0 then return 'again' end
redis.call('EXPIRE', KEYS[4], ARGV[2])
for at = 8, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[at], ARGV[at + 1]) end
redis.call('EXPIRE', KEYS[1], ARGV[3])

-- A new one takes the place of the rarest, so that what begins to be asked often finds a place.
local function ask(key)
  if not redis.call('ZSCORE', key, ARGV[5]) and redis.call('ZCARD', key) >= tonumber(ARGV[4]) then
    local out = redis.call('ZPOPMIN', key)[1]
    if not (redis.call('ZSCORE', KEYS[2], out) or redis.call('ZSCORE', KEYS[3], out)) then
      redis.call('HDEL', KEYS[5], out)
    end
  end
  redis.call('ZINCRBY', key, 1, ARGV[5])
  redis.call('EXPIRE', key, ARGV[3])
end
if ARGV[5] ~= '' then
  if ARGV[7] ~= '' then
    redis.call('HSET', KEYS[5], ARGV[5], ARGV[7])
    redis.call('EXPIRE', KEYS[5], ARGV[3])
  end
  ask(KEYS[2])
  if ARGV[6] == '1' then ask(KEYS[3]) end
end
return 'ok'
