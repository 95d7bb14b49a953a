-- KEYS: 1 shard of the index of idle sessions    ARGV: 1 member  2 its score as seen  3 new ('' none)
-- Moves or removes an entry that nobody moved meanwhile: a turn since then knows better.
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) ~= tonumber(ARGV[2]) then return 0 end
if ARGV[3] == '' then return redis.call('ZREM', KEYS[1], ARGV[1]) end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
return 1
