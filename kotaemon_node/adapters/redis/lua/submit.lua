-- KEYS: 1 record of the job  2 queue  3 index  4 tenants whose jobs wait
-- ARGV: 1 id  2 digest of the order  3 queued at most  4 listed at most  5 tenant
--       6 its other digest, with the tenant's secret or without: of a program that seals, or not  7… field, value, …
-- Puts an order behind the others, once. Reply: 'new', 'known', 'conflict' or 'full'.
local known = redis.call('HGET', KEYS[1], 'digest')
if known then return (known == ARGV[2] or known == ARGV[6]) and 'known' or 'conflict' end
if redis.call('XLEN', KEYS[2]) >= tonumber(ARGV[3]) then return 'full' end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local entry = redis.call('XADD', KEYS[2], '*', 'id', ARGV[1])
redis.call('HSET', KEYS[1], 'digest', ARGV[2], 'entry', entry, 'state', 'queued', 'attempts', 0,
  'created_ms', now_ms, 'changed_ms', now_ms, unpack(ARGV, 7))
redis.call('ZADD', KEYS[3], now_ms, ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -(tonumber(ARGV[4]) + 1))
redis.call('SADD', KEYS[4], ARGV[5])
return 'new'
