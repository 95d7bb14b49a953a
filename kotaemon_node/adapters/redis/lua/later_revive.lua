-- KEYS: 1 record of the job  2 due  3 of its tenant  4 dead of its tenant  5 dead of its kind
-- ARGV: 1 member  2 name
-- Makes a dead letter a job again, due now, with all its attempts. Reply: 1, or 0 where it is none.
if redis.call('HGET', KEYS[1], 'state') ~= 'dead' then return 0 end
local now = now_ms()
redis.call('HSET', KEYS[1], 'state', 'waiting', 'attempts', 0, 'holder', '', 'since_ms', now,
  'due_ms', now)
redis.call('ZREM', KEYS[4], ARGV[2])
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('ZADD', KEYS[3], now, ARGV[2])
return 1
