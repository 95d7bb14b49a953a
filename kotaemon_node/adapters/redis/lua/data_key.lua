-- KEYS: 1 data keys of a tenant
-- ARGV: 1 what is done  2 id of the key  3 its row (JSON)  4 what is expected
-- add: a new key, where the newest is still ARGV[4].  back: one that was lost.
-- rewrap: in place of the row ARGV[4].  destroy: for ever, noted with the time.
-- The same call again changes nothing. Reply: 'ok', or 'changed' where it was not as expected.
local there = redis.call('HGET', KEYS[1], ARGV[2])
local destroyed = redis.call('HEXISTS', KEYS[1], '-' .. ARGV[2]) == 1
if ARGV[1] == 'destroy' then
  redis.call('HDEL', KEYS[1], ARGV[2])
  redis.call('HSETNX', KEYS[1], '-' .. ARGV[2], redis.call('TIME')[1])
  return 'ok'
end
if destroyed then return 'changed' end
if there == ARGV[3] then return 'ok' end
if ARGV[1] == 'add' then
  if there or (redis.call('HGET', KEYS[1], '#newest') or '') ~= ARGV[4] then return 'changed' end
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3], '#newest', ARGV[2])
elseif ARGV[1] == 'back' then
  if there then return 'changed' end
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
  -- The newest is lost as well, or it is an older one that came back first.
  local newest = redis.call('HGET', KEYS[1], '#newest')
  local row = newest and redis.call('HGET', KEYS[1], newest)
  local readable, known = pcall(cjson.decode, row or '')
  local made_ms = readable and type(known) == 'table' and tonumber(known.made_ms) or -1
  if cjson.decode(ARGV[3]).made_ms > made_ms then
    redis.call('HSET', KEYS[1], '#newest', ARGV[2])
  end
else
  if there ~= ARGV[4] then return 'changed' end
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
end
return 'ok'
