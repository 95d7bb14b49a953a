-- KEYS: 1 meta  2 turns  3 queue  4 seen  5 turn  6 frames
-- ARGV: 1 turn id  2 new owner  3 owner expected ('*' = whoever)  4 how it is to end ('' = go on)
--       5 history max  6 known epoch  7 known version  8 names this call, which may be repeated
-- Makes `new owner` the owner of a turn that is not finished, under a higher fence: after its owner
-- was lost, or to end it. A waiting turn is seized when nothing runs before it, or to end it.
-- How a turn is to end is kept with it: if this owner dies as well, the next one ends it too.
-- Reply: {'owned', work, owner before} or {'none'}.
local meta, turns, queue, seen, turn, frames = unpack(KEYS)
local held = redis.call('HMGET', turn, 'state', 'owner', 'claim')
if not held[1] then return {'none'} end
local now, any, before = now_ms(), ARGV[3] == '*', held[2]
if held[1] == 'queued' then
  local running = redis.call('HGET', meta, 'running')
  if any then
    redis.call('LREM', queue, 1, ARGV[1])
    -- It does not run, and is not in the history yet: whoever looks at the session finds it here.
    local leaving = cjson.decode(redis.call('HGET', meta, 'leaving') or '[]')
    table.insert(leaving, ARGV[1])
    redis.call('HSET', meta, 'leaving', cjson.encode(leaving))
    local fence = redis.call('HINCRBY', meta, 'fence', 1)
    redis.call('HSET', turn, 'state', 'running', 'owner', ARGV[2], 'fence', fence,
      'started_ms', now, 'progress_ms', now)
  elseif running == '' and redis.call('LINDEX', queue, 0) == ARGV[1] then
    redis.call('LPOP', queue)
    start(meta, turn, ARGV[1], ARGV[2], now)
  else
    return {'none'}
  end
elseif held[1] == 'running' then
  -- The same owner again: the reply of its first call was lost, or a task of it lost the turn. But
  -- who looked when nobody had it, and was given it since, as the turn before it ended, has it.
  local again = before == ARGV[2] and held[3] == ARGV[8]
  local mine = before == ARGV[2] and (ARGV[3] ~= '' or again)
  if not any and before ~= ARGV[3] and not mine then return {'none'} end
  local fence = redis.call('HINCRBY', meta, 'fence', 1)
  redis.call('HSET', turn, 'owner', ARGV[2], 'fence', fence, 'progress_ms', now)
  if before ~= ARGV[2] then had_by(turn, before) end
  -- One that was handed over has no owner, and is no loss. One that its own pod takes anew is: the
  -- task that had it is gone. Not so by this very call again: no task had it.
  if not any and before ~= '' and not again then redis.call('HINCRBY', turn, 'losses', 1) end
  if not any and before ~= ARGV[2] then redis.call('HINCRBY', turn, 'attempts', 1) end
else
  return {'none'}
end
redis.call('HSET', turn, 'claim', ARGV[8])
if ARGV[4] ~= '' then redis.call('HSETNX', turn, 'ending', ARGV[4]) end
return {'owned', work(meta, turns, turn, frames, tonumber(ARGV[5]), ARGV[6], ARGV[7]), before}
