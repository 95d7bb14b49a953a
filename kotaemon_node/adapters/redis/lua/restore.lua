-- KEYS: 1 meta  2 turns  3 queue  4 seen
-- ARGV: 1 the mark that is expected ('' = none)  2 epoch  3 ttl (s)
--       4 fields of meta  5 turns  6 fields of seen  7 fields of past  8 fields of feedback
--       9 '1': it comes back under another epoch; then these fields, in this order
-- Brings a session back from a copy, whole or not at all, where there is none.
-- Reply: 'ok', 'there' (it is back already, or was begun anew), 'moved' (another mark) or 'told'
-- (it was deleted since the copy, or its loss was told, and it is to come back under that epoch).
local meta, turns, queue, seen = unpack(KEYS)
if redis.call('EXISTS', meta) == 1 then return 'there' end
local past, mark = past_epochs(meta), archived_mark(meta)
if (redis.call('GET', mark) or '') ~= ARGV[1] then return 'moved' end
if ARGV[9] ~= '1' and redis.call('HEXISTS', past, ARGV[2]) == 1 then return 'told' end
local at, before = 10 + 2 * ARGV[4] + ARGV[5] + 2 * ARGV[6], {}
for of = at, at + 2 * ARGV[7] - 2, 2 do before[#before + 1] = ARGV[of] end
if deleted_since(past, before) then return 'told' end
at = 10
local function put(command, key, count, width)
  for _ = 1, count do
    redis.call(command, key, unpack(ARGV, at, at + width - 1))
    at = at + width
  end
end
put('HSET', meta, tonumber(ARGV[4]), 2)
put('RPUSH', turns, tonumber(ARGV[5]), 1)
put('HSET', seen, tonumber(ARGV[6]), 2)
put('HSETNX', past, tonumber(ARGV[7]), 2)
put('HSET', feedback(meta), tonumber(ARGV[8]), 2)
redis.call('HSET', meta, 'running', '', 'copied', '1', 'restored_ms', now_ms())
redis.call('DEL', mark)
for _, key in ipairs({meta, turns, seen, past, feedback(meta)}) do redis.call('EXPIRE', key, ARGV[3]) end
return 'ok'
