-- KEYS: 1 meta  2 turns  3 queue  4 seen  5 turn  6 frames
-- ARGV: 1 turn id  2 new owner  3 owner expected ('*' = whoever)  4 count the attempt ('1')
--       5 history max
-- Makes `new owner` the owner of a turn that is not finished, under a higher fence: after its owner
-- died, or to cancel it. A waiting turn is seized when nothing runs before it, or to cancel it.
-- Reply: {'owned', work} or {'none'}.
local meta, turns, queue, seen, turn, frames = unpack(KEYS)
local held = redis.call('HMGET', turn, 'state', 'owner', 'attempts')
if not held[1] then return {'none'} end
local now, any = now_ms(), ARGV[3] == '*'
if held[1] == 'queued' then
  local running = redis.call('HGET', meta, 'running')
  if any then
    redis.call('LREM', queue, 1, ARGV[1])
    local fence = redis.call('HINCRBY', meta, 'fence', 1)
    redis.call('HSET', turn, 'state', 'running', 'owner', ARGV[2], 'fence', fence)
  elseif running == '' and redis.call('LINDEX', queue, 0) == ARGV[1] then
    redis.call('LPOP', queue)
    start(meta, turn, ARGV[1], ARGV[2], now)
  else
    return {'none'}
  end
elseif held[1] == 'running' then
  -- The same owner again: the reply of its first call was lost, or a task of it lost the turn.
  if not any and held[2] ~= ARGV[3] and held[2] ~= ARGV[2] then return {'none'} end
  local fence = redis.call('HINCRBY', meta, 'fence', 1)
  redis.call('HSET', turn, 'owner', ARGV[2], 'fence', fence, 'progress_ms', now)
  if ARGV[4] == '1' and held[2] ~= ARGV[2] then redis.call('HINCRBY', turn, 'attempts', 1) end
else
  return {'none'}
end
return {'owned', work(meta, turns, turn, frames, tonumber(ARGV[5]))}
