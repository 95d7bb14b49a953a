-- KEYS: 1 record of the job  2 due  3 of its tenant  4 dead of its tenant  5 dead of its kind
-- ARGV: 1 member  2 name  3 '1': only a dead letter  4 the id is known for (s)
-- Ends a job for good, whoever holds it: its effect is there. Reply: 1, or 0 where there is none.
local state = redis.call('HGET', KEYS[1], 'state')
if not state or state == 'done' then return 0 end
if ARGV[3] == '1' and state ~= 'dead' then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'state', 'done')
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('ZREM', KEYS[4], ARGV[2])
redis.call('ZREM', KEYS[5], ARGV[1])
return 1
