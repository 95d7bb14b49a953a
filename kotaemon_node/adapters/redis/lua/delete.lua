-- KEYS: 1 meta  2 turns  3 queue  4 seen    ARGV: 1 key prefix  2 signal channel
-- Removes a session. A turn under way finds another epoch or none, and ends with `gone`.
-- Reply: the ids of the turns that were not finished.
local open = redis.call('LRANGE', KEYS[3], 0, -1)
local running = redis.call('HGET', KEYS[1], 'running')
if running and running ~= '' then open[#open + 1] = running end
for _, id in ipairs(redis.call('HKEYS', KEYS[4])) do
  redis.call('DEL', ARGV[1] .. 'turn:' .. id, ARGV[1] .. 'turn:' .. id .. ':frames')
end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
for _, id in ipairs(open) do redis.call('PUBLISH', ARGV[2], id .. ' 0') end
return open
