-- KEYS: 1 what is wanted of a tenant's plugins
-- ARGV: 1 plugin  2 its row as it was read ('' = none)  3 the row that is wanted ('' = none)  4 plugins max
-- Replaces a row that nobody changed meanwhile and raises the revision, which begins at the clock, so
-- that it rises also where the store forgot the one before.
-- Reply: the revision, 'changed' (read again) or 'full'.
local held = redis.call('HGET', KEYS[1], ARGV[1]) or ''
local before = tonumber(redis.call('HGET', KEYS[1], '#revision') or '0')
if held ~= ARGV[2] then return 'changed' end
if held == ARGV[3] then return string.format('%.0f', before) end
if held == '' then
  local rows = redis.call('HLEN', KEYS[1]) - redis.call('HEXISTS', KEYS[1], '#revision')
  if rows >= tonumber(ARGV[4]) then return 'full' end
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local revision = string.format('%.0f', math.max(before + 1, now_ms))
redis.call('HSET', KEYS[1], '#revision', revision)
return revision
