-- KEYS: 1 running shard    ARGV: 1 member
-- The turn enters the index of running turns before it is claimed; the time is Redis's own.
-- A repeated request makes the entry young again, so that no sweep forgets it before the claim.
local now = now_ms()
redis.call('ZADD', KEYS[1], now, ARGV[1])
return now
