-- Put before every script: what they share.
-- A session's keys derive from ARGV's prefix; all of them carry the same hash tag, so one slot.

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function last_seq(frames)
  local newest = redis.call('XREVRANGE', frames, '+', '-', 'COUNT', 1)
  if #newest == 0 then return 0 end
  return tonumber(string.match(newest[1][1], '^(%d+)'))
end

-- Everything the executor of a turn needs; the caller has just made it the owner.
local function work(meta, turns, turn, frames, history_max)
  local m = redis.call('HGETALL', meta)
  local version = tonumber(redis.call('HGET', meta, 'version'))
  local context_from = tonumber(redis.call('HGET', meta, 'context_from') or '0')
  local first = math.max(context_from, version - history_max)
  local past = {}
  if first < version then past = redis.call('LRANGE', turns, first, -1) end
  return {m, past, redis.call('HGETALL', turn), redis.call('XRANGE', frames, '-', '+')}
end

local function start(meta, turn, turn_id, owner, now)
  local fence = redis.call('HINCRBY', meta, 'fence', 1)
  redis.call('HSET', meta, 'running', turn_id, 'active_ms', now)
  redis.call('HSET', turn, 'state', 'running', 'owner', owner, 'fence', fence, 'progress_ms', now)
  redis.call('HINCRBY', turn, 'attempts', 1)
  return fence
end
