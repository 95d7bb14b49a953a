-- KEYS: 1 meta of the session  2 record of the turn
-- ARGV: 1 epoch  2 fence  3 content  4 ttl (s)
-- Keeps the audit record of a turn, unless its session has another epoch or is no more, or a later
-- owner's record is there. Reply: 'ok' or 'old'.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 'old' end
local held = redis.call('HMGET', KEYS[2], 'epoch', 'fence')
if held[1] == ARGV[1] and tonumber(held[2]) > tonumber(ARGV[2]) then return 'old' end
redis.call('HSET', KEYS[2], 'epoch', ARGV[1], 'fence', ARGV[2], 'content', ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return 'ok'
