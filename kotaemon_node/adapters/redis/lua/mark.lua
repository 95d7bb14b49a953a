-- KEYS: 1 meta    ARGV: 1 epoch of a copy  2 the mark of it (JSON)  3 when the copy ends (ms)
-- Marks a session as archived of which the store knows nothing although there is a copy: it forgot.
-- Reply: 'marked', 'live', 'kept' (another mark, or this one) or 'ended' (it is not to come back).
local mark, past = archived_mark(KEYS[1]), past_epochs(KEYS[1])
if redis.call('EXISTS', KEYS[1]) == 1 then return 'live' end
local there = redis.call('GET', mark)
if there then return is_archived(there) and 'kept' or 'ended' end
if redis.call('HEXISTS', past, ARGV[1]) == 1 then return 'ended' end
redis.call('SET', mark, ARGV[2], 'PXAT', ARGV[3])
return 'marked'
