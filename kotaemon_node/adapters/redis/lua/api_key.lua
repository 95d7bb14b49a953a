-- KEYS: 1 keys  2 stamp
-- ARGV: 1 id  2 what is kept of it (JSON; '' = forget it)  3 new stamp  4 keys max
--       5 digest of the one that it takes the place of ('' = it is new)
-- Keeps, replaces or forgets an API key. Who reads the stamp first and the keys then misses no change for long.
-- The same call again changes nothing. Reply: 'ok', 'exists', 'full', 'missing' or 'changed'.
local there = redis.call('HGET', KEYS[1], ARGV[1])
if ARGV[2] == '' then
  if not there then return 'missing' end
  redis.call('HDEL', KEYS[1], ARGV[1])
elseif ARGV[5] ~= '' then
  if not there then return 'missing' end
  if there == ARGV[2] then return 'ok' end
  if cjson.decode(there).digest ~= ARGV[5] then return 'changed' end
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
else
  if there then return there == ARGV[2] and 'ok' or 'exists' end
  if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return 'full' end
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
redis.call('SET', KEYS[2], ARGV[3])
return 'ok'
