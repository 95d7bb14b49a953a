-- KEYS: 1 running shard    ARGV: 1 member  2 age (ms)
-- Removes an entry that is still as old as the sweep saw it. Reply: 1 when it was removed.
local entered = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not entered or now_ms() - tonumber(entered) < tonumber(ARGV[2]) then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[1])
