-- KEYS: 1 meta  2 mark
-- ARGV: 1 epoch  2 tenant  3 principal  4 user id  5 channel  6 context (JSON)  7 ttl (s)
-- Makes a session; the same epoch again finds the one it made. Reply: 'ok' or 'exists'.
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch then
  if epoch == ARGV[1] then return 'ok' end
  return 'exists'
end
if is_archived(redis.call('GET', KEYS[2])) then return 'exists' end
local now = now_ms()
redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'version', 0, 'hash', '', 'fence', 0,
  'tenant', ARGV[2], 'principal', ARGV[3], 'created_ms', now, 'active_ms', now, 'running', '',
  'user_id', ARGV[4], 'channel', ARGV[5], 'context', ARGV[6])
redis.call('EXPIRE', KEYS[1], ARGV[7])
return 'ok'
