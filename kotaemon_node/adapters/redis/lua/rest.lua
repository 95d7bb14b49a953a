-- KEYS: 1 meta  2 turns  3 queue  4 seen    ARGV: 1 for how long it must have rested (ms)
-- What is to be done with a session that the index says has rested. One that rests is marked, so
-- that whoever deletes it knows that there may be copies.
-- Reply: {'rests', 'copied' where there may be copies already, length of its history}, {'busy'},
-- {'active', since (ms)}, {'archived'}, {'deleted'} (its copies are to be removed),
-- {'expired'} or {'ended'}, which needs nothing any more.
local mark = redis.call('GET', archived_mark(KEYS[1]))
if mark == 'deleted' then return {'deleted'} end
local head = redis.call('HMGET', KEYS[1], 'epoch', 'running', 'leaving', 'copied')
if not head[1] then
  if mark then return {is_archived(mark) and 'archived' or 'ended'} end
  local past = redis.call('HVALS', past_epochs(KEYS[1]))
  -- Deleted by a pod that knew no archive, and so left no mark.
  for _, why in ipairs(past) do if why == 'deleted' then return {'deleted'} end end
  return {#past > 0 and 'ended' or 'expired'}
end
if head[2] ~= '' or head[3] or redis.call('LLEN', KEYS[3]) > 0 then return {'busy'} end
local since = rests_since(KEYS[1])
if now_ms() - since < tonumber(ARGV[1]) then return {'active', since} end
-- A full store, which is to be relieved, takes what is written behind an expiry.
local life = redis.call('PTTL', KEYS[1])
if life > 0 then redis.call('PEXPIRE', KEYS[1], life) end
redis.call('HSETNX', KEYS[1], 'copied', '1')
return {'rests', (head[4] or mark) and 'copied' or '', redis.call('LLEN', KEYS[2])}
