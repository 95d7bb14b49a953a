-- KEYS: 1 meta  2 seen  3 feedback
-- ARGV: 1 turn id  2 what was said (JSON)
-- Keeps what somebody says of a finished turn, in place of what was said before. The session has
-- done something then, so that a copy made of it before is not taken for all of it.
-- Reply: {'ok', what was said before or ''} or {'none'}.
local known = redis.call('HGET', KEYS[2], ARGV[1])
if not known or not string.match(known, '^[^:]+:%d') then return {'none'} end
local active = tonumber(redis.call('HGET', KEYS[1], 'active_ms') or '0')
if active == 0 then return {'none'} end
local before = redis.call('HGET', KEYS[3], ARGV[1]) or ''
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[1], 'active_ms', math.max(now_ms(), active + 1))
local left = redis.call('PTTL', KEYS[1])
if left > 0 then redis.call('PEXPIRE', KEYS[3], left) end
return {'ok', before}
