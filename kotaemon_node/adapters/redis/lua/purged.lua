-- KEYS: 1 meta
-- Notes that the copies of a deleted session are removed. The note stays: none comes back by it.
local mark = archived_mark(KEYS[1])
if redis.call('GET', mark) == 'deleted' then redis.call('SET', mark, 'purged', 'KEEPTTL') end
