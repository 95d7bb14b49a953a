-- KEYS: 1 breaker    ARGV: 1 what happened  2 caller  3 failures until it opens
--                          4 first and 5 longest time open (ms)  6 life of a probe (ms)
-- What a breaker does; the contract is that of ports/breakers.py. Reply: 1 admitted, 2 as the
-- probe, else 0 with the ms that it stays open; to "look": 1 while it is not closed.
local asked, caller = ARGV[1], ARGV[2]
local row = redis.call('HMGET', KEYS[1], 'failures', 'until', 'span', 'probe', 'probe_until', 'last')
local failures, open_until, span = tonumber(row[1] or 0), tonumber(row[2] or 0), tonumber(row[3] or 0)
local probe, probe_until, last = row[4] or '', tonumber(row[5] or 0), row[6] or ''
local now = now_ms()

local function keep(...)
  redis.call('HSET', KEYS[1], ...)
  redis.call('PEXPIRE', KEYS[1], 3600000)
end

local function open_again()
  span = math.min(span == 0 and tonumber(ARGV[4]) or span * 2, tonumber(ARGV[5]))
  keep('failures', 0, 'until', now + span, 'span', span, 'probe', '', 'probe_until', 0,
    'last', caller)
end

if asked == 'look' then return {open_until > 0 and 1 or 0, 0} end

if asked == 'ask' then
  if open_until == 0 then return {1, 0} end
  if probe == caller then return {2, 0} end
  if now < open_until then return {0, open_until - now} end
  if now < probe_until then return {0, 0} end
  keep('probe', caller, 'probe_until', now + tonumber(ARGV[6]))
  return {2, 0}
end

if open_until > 0 then
  -- Only the probe is heard: other calls were begun before it opened.
  if probe ~= caller then return {0, 0} end
  if asked == 'failed' then
    open_again()
  elseif asked == 'gave_up' then
    keep('probe', '', 'probe_until', 0)
  elseif asked == 'answering' then
    keep('until', 0, 'failures', tonumber(ARGV[3]) - 1, 'probe', '', 'probe_until', 0)
  else
    redis.call('DEL', KEYS[1])
  end
elseif asked == 'succeeded' then
  redis.call('DEL', KEYS[1])
elseif asked == 'failed' and last ~= caller then
  failures = failures + 1
  if failures >= tonumber(ARGV[3]) then
    open_again()
  else
    keep('failures', failures, 'last', caller)
  end
end
return {1, 0}
