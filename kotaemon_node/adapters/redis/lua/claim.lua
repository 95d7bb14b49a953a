-- KEYS: 1 meta  2 turns  3 queue  4 seen  5 turn  6 frames
-- ARGV: 1 turn id  2 digest  3 owner  4 principal ('' = may see all)  5 entry time (ms)
--       6 entry age max (ms)  7 create ('1')  8 new epoch, which also names this call
--       9 on_busy  10 queue max
--       11 history max  12 ttl (s)  13 idle (ms)  14 message  15 options  16 trace id
--       17 tenant  18 title  19 signal channel  20 known epoch  21 known version
--       22 known hash  23 highest version heard of  24 by whom a loss is told
--       25 epoch by which the client knows the session ('' = it doesn't say)
--       26 '1': the archive was looked into  27 principal of a session that it makes
--       28 user id of the same ('' = none)  29 of the same '1': no list shows it
--       30 its other digest, with the tenant's secret or without  31 '1': a person says it
--       32 knowledge base that is to answer ('' = none)  33 its generation at the caller
-- Message, options and title may be sealed; nothing here looks into them.
-- Accepts, recognises or refuses a turn. Reply: {outcome, …}.
-- A store that has lost what the caller remembers says so, before anything is accepted.
local meta, turns, queue, seen, turn, frames = unpack(KEYS)
local now = now_ms()
if now - tonumber(ARGV[5]) > tonumber(ARGV[6]) then return {'late'} end

local known = redis.call('HGET', seen, ARGV[1])
-- The session it belonged to was deleted: a late retry must not run it in a new one.
if known == 'gone' then return {'gone'} end
if known == 'sealed' then return {'sealed'} end

local head = redis.call('HMGET', meta, 'epoch', 'principal', 'running', 'active_ms', 'version',
  'hash')
if head[1] and ARGV[4] ~= '' and head[2] ~= ARGV[4] then return {'no_session'} end

if not head[1] then
  local mark = redis.call('GET', archived_mark(meta))
  if is_archived(mark) then return {'archived', mark} end
  -- Somebody knows of it: a store that forgot it forgot its mark, too.
  local known_by = ARGV[20] ~= '' and ARGV[20] or ARGV[25]
  if known_by ~= '' and ARGV[26] == '' and not mark
    and redis.call('HEXISTS', past_epochs(meta), known_by) == 0 then
    return {'archived', ''}
  end
end

local was = remembered(ARGV[20], ARGV[21], ARGV[22], ARGV[23], ARGV[24])
local is = {epoch = head[1], version = tonumber(head[5]), hash = head[6]}
local reason = lost(meta, turns, is, was, tonumber(ARGV[11]))
local told = reason and renewed(meta, queue, is, was, reason, ARGV[8], ARGV[12])
-- The client remembers, where no pod does any more. It reads the session anew, and is told no more.
if not told and ARGV[25] ~= '' and ARGV[25] ~= (head[1] or '') then return {'other_epoch'} end
if not head[1] and ARGV[7] == '1' then
  redis.call('HSET', meta, 'epoch', ARGV[8], 'version', 0, 'hash', '', 'fence', 0,
    'tenant', ARGV[17], 'principal', ARGV[27], 'created_ms', now, 'active_ms', now, 'running', '',
    'user_id', ARGV[28])
  if ARGV[29] == '1' then redis.call('HSET', meta, 'unlisted', '1') end
  redis.call('EXPIRE', meta, ARGV[12])
  head = {ARGV[8], ARGV[27], '', tostring(now), '0'}
end
if told then return told end
if not head[1] then return {'no_session'} end

if known then
  local digest, version = string.match(known, '^([^:]+):?(%d*)')
  if digest ~= ARGV[2] and digest ~= ARGV[30] then return {'conflict'} end
  if version ~= '' then return {'finished', version} end
  -- The very call that made it ours, again because its reply was lost: nobody executes it yet.
  local held = redis.call('HMGET', turn, 'claim', 'owner', 'state')
  if held[1] == ARGV[8] and held[2] == ARGV[3] and held[3] == 'running' then
    return {'owned', work(meta, turns, turn, frames, tonumber(ARGV[11]), ARGV[20], ARGV[21])}
  end
  return {'attached'}
end

local busy = head[3] ~= '' or redis.call('LLEN', queue) > 0
if busy and ARGV[9] == 'reject' then return {'busy'} end
if busy and redis.call('LLEN', queue) >= tonumber(ARGV[10]) then return {'full'} end
-- Answers of a session never go back to an older generation.
if ARGV[32] ~= '' then
  local generations = redis.call('HGET', meta, 'generations')
  local newest = generations and cjson.decode(generations)[ARGV[32]]
  if newest and newest > tonumber(ARGV[33]) then return {'behind', tostring(newest)} end
end

if ARGV[18] ~= '' and not redis.call('HGET', meta, 'title') then redis.call('HSET', meta, 'title', ARGV[18]) end
-- A long pause closes the dialogue context and what was known of it; the history stays.
if not busy and now - tonumber(head[4]) > tonumber(ARGV[13]) then
  redis.call('HSET', meta, 'context_from', head[5])
  redis.call('HDEL', meta, 'state', 'summary', 'summary_to')
end
redis.call('HSET', seen, ARGV[1], ARGV[2])
redis.call('DEL', frames)  -- those of a finished turn whose id has the same digest
redis.call('HSET', turn, 'digest', ARGV[2], 'state', 'queued', 'owner', '', 'fence', 0,
  'attempts', 0, 'losses', 0, 'message', ARGV[14], 'options', ARGV[15], 'trace_id', ARGV[16],
  'created_ms', now, 'progress_ms', now, 'claim', ARGV[8], 'epoch', head[1],
  'said', ARGV[31])
if busy then
  redis.call('RPUSH', queue, ARGV[1])
  redis.call('XADD', frames, '1-0', 'status', '{"phase":"queued","latency":0.0}')
  tell(ARGV[19], ARGV[1] .. ' 1')
else
  start(meta, turn, ARGV[1], ARGV[3], now)
end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[12]) end
if busy then return {'queued'} end
return {'owned', work(meta, turns, turn, frames, tonumber(ARGV[11]), ARGV[20], ARGV[21])}
