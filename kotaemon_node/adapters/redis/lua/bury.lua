-- KEYS: 1 meta    ARGV: 1 mark  2 epoch  3 ttl of a session (s)  4 for how long copies may lie (s)
-- Deletes an archived session as it lies. Reply: 'ok', or 'moved' where it is archived no more.
local mark, past = archived_mark(KEYS[1]), past_epochs(KEYS[1])
if redis.call('EXISTS', KEYS[1]) == 1 or redis.call('GET', mark) ~= ARGV[1] then return 'moved' end
redis.call('EXISTS', past)
redis.call('SET', mark, 'deleted', 'EX', ARGV[4])
redis.call('HSET', past, ARGV[2], 'deleted')
redis.call('EXPIRE', past, ARGV[3])
return 'ok'
