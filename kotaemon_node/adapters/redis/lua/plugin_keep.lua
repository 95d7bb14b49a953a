-- KEYS: 1 value  2 index of the plugin's keys, by when they end (ms)
-- ARGV: 1 the key's name  2 life (ms); 0 deletes  3 keys at most  4 the value
-- Keeps a value of a plugin, or forgets it. Reply: "kept", "gone" or "full".
local life = tonumber(ARGV[2])
if life == 0 then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
  return 'gone'
end
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local known = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not known and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then return 'full' end
redis.call('SET', KEYS[1], ARGV[4], 'PX', life)
redis.call('ZADD', KEYS[2], now + life, ARGV[1])
if redis.call('PTTL', KEYS[2]) < life then redis.call('PEXPIRE', KEYS[2], life) end
return 'kept'
