-- KEYS: 1 meta  2 turns  3 queue  4 seen  5 turn  6 frames
-- ARGV: 1 epoch  2 fence  3 owner  4 turn id  5 seq of the terminal frame  6 its type  7 its JSON
--       8 the turn  9 generations (JSON)  10 take next ('1')  11 ttl (s)
--       12 frames retention (s)  13 signal channel  14 key prefix  15 history max  16 known epoch
--       17 known version  18 state of the session (JSON, '' = as it is)
--       19 summary ('' = as it is)  20 the version up to which it tells
--       21 handoff (JSON, '' = none)  22 its frame (JSON), which comes before the terminal one
--       23 the version that the turn is to make, for which it is sealed ('' = any)
-- Whatever says what somebody wrote may be sealed; nothing here looks into it.
-- Ends a turn: terminal frame, history, version, hash and the next turn, all or nothing.
-- Reply: {'ok', version, hash, next turn id or '', work of it} or {'gone' | 'fenced' | 'gap'},
-- or {'place', version}: it makes another version; seal it for that one.
local meta, turns, queue, seen, turn, frames = unpack(KEYS)
if redis.call('HGET', meta, 'epoch') ~= ARGV[1] then return {'gone'} end

-- `started`: the fence of the turn that this commit started, '' for none. A repeated call must not
-- name a turn that its owner got in another way meanwhile: that one is being executed already.
local function reply(version, hash, started)
  local next_id = redis.call('HGET', meta, 'running')
  if started == '' or next_id == '' then return {'ok', version, hash, ''} end
  local next_turn = ARGV[14] .. 'turn:' .. next_id
  local held = redis.call('HMGET', next_turn, 'fence', 'owner')
  if held[1] ~= started or held[2] ~= ARGV[3] then return {'ok', version, hash, ''} end
  return {'ok', version, hash, next_id,
    work(meta, turns, next_turn, frames_key(ARGV[14], next_id), tonumber(ARGV[15]), ARGV[16],
      ARGV[17])}
end

local known = redis.call('HGET', seen, ARGV[4]) or ''
local digest, version, fence, started = string.match(known, '^([^:]+):?(%d*):?(%d*):?(%d*)')
if version and version ~= '' then
  -- Committed before. By this very call, when its reply was lost; else by another owner.
  if fence ~= ARGV[2] then return {'fenced'} end
  return reply(tonumber(version), redis.call('HGET', meta, 'hash'), started)
end
local held = redis.call('HMGET', turn, 'fence', 'owner', 'state')
if held[1] ~= ARGV[2] or held[2] ~= ARGV[3] or held[3] ~= 'running' then return {'fenced'} end
local handed = (ARGV[21] or '') ~= ''
if tonumber(ARGV[5]) ~= last_seq(frames) + (handed and 2 or 1) then return {'gap'} end
local place = tonumber(redis.call('HGET', meta, 'version')) + 1
if (ARGV[23] or '') ~= '' and tonumber(ARGV[23]) ~= place then return {'place', place} end

-- While a slot moves, whoever touches a key that is not here is refused: better before the first
-- write than between two.
local waiting = CLUSTER and redis.call('LINDEX', queue, 0)
if waiting then redis.call('EXISTS', ARGV[14] .. 'turn:' .. waiting, frames_key(ARGV[14], waiting)) end

local now = now_ms()
if handed then
  redis.call('HSET', meta, 'handoff', ARGV[21])
  redis.call('XADD', frames, (ARGV[5] - 1) .. '-0', 'handoff', ARGV[22])
end
redis.call('XADD', frames, ARGV[5] .. '-0', ARGV[6], ARGV[7])
redis.call('EXPIRE', frames, ARGV[12])
redis.call('RPUSH', turns, ARGV[8])
version = redis.call('HINCRBY', meta, 'version', 1)
local hash = redis.sha1hex((redis.call('HGET', meta, 'hash') or '') .. ARGV[8])
redis.call('HSET', meta, 'hash', hash, 'active_ms', now)
if ARGV[9] ~= '' then redis.call('HSET', meta, 'generations', ARGV[9]) end
-- With the version, so that nobody ever reads the state of another history. Older pods give none.
if (ARGV[18] or '') ~= '' then redis.call('HSET', meta, 'state', ARGV[18]) end
-- A waiting turn that was cancelled meanwhile may have summed up the same or more.
local summed_up = tonumber(redis.call('HGET', meta, 'summary_to') or '0')
if (ARGV[19] or '') ~= '' and tonumber(ARGV[20]) > summed_up then
  redis.call('HSET', meta, 'summary', ARGV[19], 'summary_to', ARGV[20])
end
redis.call('DEL', turn)

started = ''
if ends(meta, ARGV[4]) then
  local next_id = ARGV[10] == '1' and redis.call('LPOP', queue)
  if next_id then
    started = tostring(start(meta, ARGV[14] .. 'turn:' .. next_id, next_id, ARGV[3], now))
  end
end
local mark = digest .. ':' .. version .. ':' .. ARGV[2]
if started ~= '' then mark = mark .. ':' .. started end
redis.call('HSET', seen, ARGV[4], mark)
-- The queue may be empty now, so not here; see above.
for i = 1, 4 do redis.pcall('EXPIRE', KEYS[i], ARGV[11]) end
redis.pcall('EXPIRE', feedback(meta), ARGV[11])
tell(ARGV[13], ARGV[4] .. ' ' .. ARGV[5])
return reply(version, hash, started)
