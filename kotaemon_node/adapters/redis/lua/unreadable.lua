-- KEYS: 1 meta  2 turns  3 queue  4 seen  5 turn  6 frames
-- ARGV: 1 epoch  2 fence  3 owner  4 turn id  5 signal channel
-- Ends a turn that nobody can open any more: nothing of it comes into the history, its id is kept,
-- so that whoever asks for it is told, and those that wait behind it are not held up.
-- Reply: 'ok', 'gone', 'fenced'.
local meta, turns, queue, seen, turn, frames = unpack(KEYS)
if redis.call('HGET', meta, 'epoch') ~= ARGV[1] then return 'gone' end
local held = redis.call('HMGET', turn, 'fence', 'owner', 'state')
if held[1] ~= ARGV[2] or held[2] ~= ARGV[3] or held[3] ~= 'running' then return 'fenced' end
redis.call('DEL', turn, frames)
redis.call('HSET', seen, ARGV[4], 'sealed')
ends(meta, ARGV[4])
tell(ARGV[5], ARGV[4] .. ' 0')
return 'ok'
