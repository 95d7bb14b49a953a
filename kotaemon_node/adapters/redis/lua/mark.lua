-- KEYS: 1 meta  2 mark  3 past
-- ARGV: 1 epoch of a copy  2 the mark of it (JSON)  3 when the copy ends (ms); then the epochs under
--       which it was known before
-- Marks a session as archived of which the store knows nothing although there is a copy: it forgot.
-- Reply: 'marked', 'live', 'kept' (another mark, or this one) or 'ended' (it is not to come back).
local meta, mark, past = unpack(KEYS)
if redis.call('EXISTS', meta) == 1 then
  -- Perhaps begun anew under this id: whoever deletes it is to know that there is a copy.
  redis.call('HSETNX', meta, 'copied', '1')
  return 'live'
end
local there = redis.call('GET', mark)
if there then return is_archived(there) and 'kept' or 'ended' end
if redis.call('HEXISTS', past, ARGV[1]) == 1 then return 'ended' end
if deleted_since(past, {unpack(ARGV, 4)}) then return 'ended' end
if tonumber(ARGV[3]) <= now_ms() then return 'ended' end
redis.call('SET', mark, ARGV[2], 'PXAT', ARGV[3])
return 'marked'
