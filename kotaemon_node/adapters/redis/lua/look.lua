-- KEYS: 1 meta  2 turns  3 queue  4 seen    ARGV: 1 after version  2 history max
-- What happens in a session, as it stands at one moment: between two commands a turn could leave
-- the queue, or the open turns, and be in neither answer.
-- Reply: {epoch, principal, version, handoff}, ids of the open turns in the order in which they run, history.
-- Those that are being ended while they waited are open, too, and come before those that wait.
local head = redis.call('HMGET', KEYS[1], 'epoch', 'principal', 'version', 'running', 'leaving',
  'handoff')
local open = head[5] and cjson.decode(head[5]) or {}
if head[4] and head[4] ~= '' then table.insert(open, 1, head[4]) end
for _, waiting in ipairs(redis.call('LRANGE', KEYS[3], 0, -1)) do table.insert(open, waiting) end
local after, max, past = tonumber(ARGV[1]), tonumber(ARGV[2]), {}
if max > 0 then past = redis.call('LRANGE', KEYS[2], after, after + max - 1) end
return {{head[1] or '', head[2] or '', head[3] or '0', head[6] or ''}, open, past}
