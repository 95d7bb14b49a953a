-- KEYS: 1 meta  2 mark  3 past
-- ARGV: 1 mark  2 epoch  3 ttl of a session (s)  4 for how long copies may lie (s)
-- Deletes an archived session as it lies. Reply: 'ok', or 'moved' where it is archived no more.
local meta, mark, past = unpack(KEYS)
if redis.call('EXISTS', meta) == 1 or redis.call('GET', mark) ~= ARGV[1] then return 'moved' end
redis.call('SET', mark, 'deleted', 'EX', ARGV[4])
redis.call('HSET', past, ARGV[2], 'deleted')
redis.call('EXPIRE', past, ARGV[3])
return 'ok'
