-- KEYS: 1 record of the job  2 due  3 of its tenant  4 dead of its tenant  5 dead of its kind
-- ARGV: 1 member  2 name  3 holder  4 error  5 dead letters of a tenant at most, in this shard
--       6 prefix of the shard  7 tenant
-- Makes a job a dead letter; of too many the oldest go. Reply: 1, or 0 where it is another's.
local row = redis.call('HMGET', KEYS[1], 'state', 'holder')
if row[1] ~= 'running' or row[2] ~= ARGV[3] then return 0 end
local now, oldest = now_ms(), nil
if redis.call('ZCARD', KEYS[4]) >= tonumber(ARGV[5]) then
  oldest = redis.call('ZRANGE', KEYS[4], 0, 0)[1]
end
local lost = oldest and ARGV[6] .. 'job:' .. ARGV[7] .. '/' .. oldest
local kind = lost and redis.call('HGET', lost, 'kind')
redis.call('HSET', KEYS[1], 'state', 'dead', 'holder', '', 'error', ARGV[4], 'due_ms', now)
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[2])
redis.call('ZADD', KEYS[4], now, ARGV[2])
redis.call('ZADD', KEYS[5], now, ARGV[1])
if lost then
  redis.call('ZREM', KEYS[4], oldest)
  if kind then redis.call('ZREM', ARGV[6] .. 'dead:' .. kind, ARGV[7] .. '/' .. oldest) end
  redis.call('DEL', lost)
end
return 1
