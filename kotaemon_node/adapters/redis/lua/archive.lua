-- KEYS: 1 meta  2 turns  3 queue  4 seen
-- ARGV: 1 epoch  2 version  3 fence  4 active (ms)  5 for how long it must have rested (ms)
--       6 the mark to leave (JSON)  7 when the copy ends (ms)
-- Removes a session of which a copy was written, if it is still what was copied and rests: every
-- turn that is begun or changes hands raises the fence.
-- Reply: 'ok', 'changed' (it never is again what was copied), 'awake' (it may be: somebody read it
-- just now) or 'gone'. The same call again: 'ok'.
local past, mark = past_epochs(KEYS[1]), archived_mark(KEYS[1])
local said = feedback(KEYS[1])
local head = redis.call('HMGET', KEYS[1], 'epoch', 'version', 'fence', 'active_ms', 'running',
  'leaving')
if not head[1] then return redis.call('GET', mark) == ARGV[6] and 'ok' or 'gone' end
for i = 1, 4 do if head[i] ~= ARGV[i] then return 'changed' end end
if head[5] ~= '' or head[6] or redis.call('LLEN', KEYS[3]) > 0 then return 'changed' end
if now_ms() - rests_since(KEYS[1]) < tonumber(ARGV[5]) then return 'awake' end
-- While a slot moves, a key that is not here is refused: better before the first write.
redis.call('EXISTS', past, mark, said)
-- A full store takes what is written behind a deletion.
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4], past, said)
redis.call('SET', mark, ARGV[6], 'PXAT', ARGV[7])
return 'ok'
