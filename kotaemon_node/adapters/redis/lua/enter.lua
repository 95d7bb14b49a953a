-- KEYS: 1 running shard    ARGV: 1 member
-- The turn enters the index of running turns before it is claimed; the time is Redis's own.
-- A member that is there keeps its time, so a repeated request cannot make an old entry young.
local now = now_ms()
redis.call('ZADD', KEYS[1], 'NX', now, ARGV[1])
return now
