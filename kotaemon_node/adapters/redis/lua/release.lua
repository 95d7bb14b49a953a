-- KEYS: 1 meta  2 turn    ARGV: 1 epoch  2 fence  3 owner  4 '1': it was not even read by the owner
-- Hands a running turn over to whoever takes it: it has no owner then, and a higher fence.
-- Reply: 'ok', 'gone', 'fenced'.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 'gone' end
local held = redis.call('HMGET', KEYS[2], 'fence', 'owner', 'state')
if held[1] ~= ARGV[2] or held[2] ~= ARGV[3] or held[3] ~= 'running' then return 'fenced' end
local fence = redis.call('HINCRBY', KEYS[1], 'fence', 1)
redis.call('HSET', KEYS[2], 'owner', '', 'fence', fence)
-- Who could not open it has done nothing of it, be it ever so often.
if ARGV[4] == '1' then redis.call('HINCRBY', KEYS[2], 'attempts', -1)
else had_by(KEYS[2], ARGV[3]) end
return 'ok'
