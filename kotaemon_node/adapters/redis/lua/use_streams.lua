-- KEYS: 1 the principal's streams  2 the tenant's
-- ARGV: 1 life of a stream (ms)  from 2 on the streams, which are kept for that long from now on
local ends = now_ms() + tonumber(ARGV[1])
for _, key in ipairs(KEYS) do
  for number = 2, #ARGV do redis.call('ZADD', key, ends, ARGV[number]) end
  redis.call('PEXPIRE', key, 2 * tonumber(ARGV[1]))
end
return 1
