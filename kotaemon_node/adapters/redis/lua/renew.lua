-- KEYS: 1 meta  2 turns  3 queue
-- ARGV: 1 new epoch  2 ttl (s)  3 history max
--       4 known epoch  5 known version  6 known hash  7 highest version heard of
--       8 by whom a loss is told
-- Tells whether the store has lost what the caller remembers, as a claim does, and makes no session.
-- Reply: {'lost', reason, ids of the turns that are open} or {'kept'}.
local meta, turns, queue = unpack(KEYS)
local head = redis.call('HMGET', meta, 'epoch', 'version', 'hash')
if not head[1] and is_archived(redis.call('GET', archived_mark(meta))) then return {'kept'} end
local was = remembered(ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8])
local is = {epoch = head[1], version = tonumber(head[2]), hash = head[3]}
local reason = lost(meta, turns, is, was, tonumber(ARGV[3]))
if not reason then return {'kept'} end
return renewed(meta, queue, is, was, reason, ARGV[1], ARGV[2])
