-- KEYS: 1 meta  2 turns  3 queue  4 seen  5 turn  6 frames; the last two of the event
-- ARGV: 1 epoch  2 turn id of the event  3 handoff (JSON, '' = hand back)
--       4 its frame (JSON)  5 options of the event  6 trace id  7 key prefix
--       8 signal channel  9 ttl (s)  10 frames ttl (s)
-- Gives the session to a person, or back. Who executes a turn of a bot is fenced: nothing of it is
-- stored behind the frame that tells of the step. At a handoff it is to be ended; when the session
-- comes back it is to be executed again, for who began it left the message to the person. Where no
-- such turn runs, a turn of its own tells: the first of those that wait.
-- Reply: {'changed' | 'same', handoff as it stands, turn to be ended or '', its owner before,
--         turn to be executed or '', '1': that one ran before} or {'gone'}.
local meta, turns, queue, seen, event, event_frames = unpack(KEYS)
local head = redis.call('HMGET', meta, 'epoch', 'handoff', 'running', 'active_ms')
if not head[1] or head[1] ~= ARGV[1] then return {'gone'} end
local was, running, now = head[2] or '', head[3] or '', now_ms()

local turn = ARGV[7] .. 'turn:' .. running
local frames = frames_key(ARGV[7], running)
local held = {}
-- While a slot moves, whoever touches a key that is not here is refused: so before the first write.
if running ~= '' then
  held = redis.call('HMGET', turn, 'state', 'owner', 'options', 'ending', 'said')
  if CLUSTER then redis.call('EXISTS', turn, frames) end
end

-- Whether a person says the running turn. Its options may be sealed; one that older pods accepted
-- has nothing beside them.
local function said()
  if held[5] then return held[5] ~= '' end
  return cjson.decode(held[3]).said
end

local function reply(outcome, handoff, ended, loser, again)
  if again ~= '' then return {outcome, handoff, ended, loser, again, '1'} end
  local waits = running == '' and redis.call('LINDEX', queue, 0) or ''
  return {outcome, handoff, ended, loser, waits, ''}
end

if (was ~= '') == (ARGV[3] ~= '') then
  -- Or said again because the reply was lost: then what it began may still be to be done.
  local left = held[1] == 'running' and held[2] == '' and running or ''
  if held[4] then return reply('same', was, left, '', '') end
  return reply('same', was, '', '', left)
end

redis.call('HSET', meta, 'handoff', ARGV[3], 'active_ms', math.max(now, tonumber(head[4]) + 1))
local back = ARGV[3] == ''
-- What is being ended when the session comes back ends all the same.
if held[1] == 'running' and not said() and not (back and held[4]) then
  local seq = last_seq(frames) + 1
  redis.call('XADD', frames, seq .. '-0', 'handoff', ARGV[4])
  if seq == 1 then redis.call('EXPIRE', frames, ARGV[10]) end
  local fence = redis.call('HINCRBY', meta, 'fence', 1)
  redis.call('HSET', turn, 'owner', '', 'fence', fence, 'progress_ms', now)
  -- One that is being cancelled stays cancelled: `ending` is how it ends, whoever ends it.
  if not back then redis.call('HSETNX', turn, 'ending', 'interrupt') end
  had_by(turn, held[2])
  tell(ARGV[8], running .. ' ' .. seq)
  if back then return reply('changed', '', '', held[2], running) end
  return reply('changed', ARGV[3], running, held[2], '')
end

local digest = redis.sha1hex(ARGV[2])
redis.call('HSET', seen, ARGV[2], digest)
redis.call('DEL', event_frames)
redis.call('HSET', event, 'digest', digest, 'state', 'queued', 'owner', '', 'fence', 0, 'attempts', 0,
  'losses', 0, 'message', '', 'options', ARGV[5], 'trace_id', ARGV[6], 'created_ms', now,
  'progress_ms', now, 'claim', '', 'epoch', head[1], 'said', '1')
redis.call('LPUSH', queue, ARGV[2])
for i = 1, 5 do redis.call('EXPIRE', KEYS[i], ARGV[9]) end
tell(ARGV[8], ARGV[2] .. ' 0')
return reply('changed', ARGV[3], '', '', '')
