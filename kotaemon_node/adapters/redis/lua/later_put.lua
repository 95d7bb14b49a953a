-- KEYS: 1 record of the job  2 due  3 of its tenant
-- ARGV: 1 member  2 name  3 delay (ms)  4 jobs of a tenant at most, in this shard  5… field, value, …
-- Puts a delayed job, once. Reply: 'new', 'known' or 'full'.
if redis.call('HEXISTS', KEYS[1], 'state') == 1 then return 'known' end
if redis.call('ZCARD', KEYS[3]) >= tonumber(ARGV[4]) then return 'full' end
local now = now_ms()
local due = now + tonumber(ARGV[3])
redis.call('HSET', KEYS[1], 'state', 'waiting', 'attempts', 0, 'holder', '', 'error', '',
  'since_ms', now, 'due_ms', due, unpack(ARGV, 5))
redis.call('ZADD', KEYS[2], due, ARGV[1])
redis.call('ZADD', KEYS[3], due, ARGV[2])
return 'new'
