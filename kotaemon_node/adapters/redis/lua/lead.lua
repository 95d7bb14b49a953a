-- KEYS: 1 lease  2 fence counter    ARGV: 1 holder  2 ttl (ms)
-- Takes or renews a leader lease. Reply: the fence, or 0 while another holds it.
local held = redis.call('HMGET', KEYS[1], 'holder', 'fence')
if held[1] and held[1] ~= ARGV[1] then return 0 end
local fence = held[2]
if not held[1] then
  fence = redis.call('INCR', KEYS[2])
  redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'fence', fence)
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return tonumber(fence)
