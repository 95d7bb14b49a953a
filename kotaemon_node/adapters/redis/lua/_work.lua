-- Put before every script: what they share.
-- A session's keys derive from ARGV's prefix; all of them carry the same hash tag, so one slot.

-- CLUSTER is set before this. The channel of a session has the hash tag of its keys, so its slot.
local function tell(channel, text)
  redis.call(CLUSTER and 'SPUBLISH' or 'PUBLISH', channel, text)
end

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- The name is written to the append-only file with every flush, so it is short; see keys.py.
local function frames_key(prefix, turn_id)
  return prefix .. 'f' .. string.sub(redis.sha1hex(turn_id), 1, 10)
end

local function last_seq(frames)
  local newest = redis.call('XREVRANGE', frames, '+', '-', 'COUNT', 1)
  if #newest == 0 then return 0 end
  return tonumber(string.match(newest[1][1], '^(%d+)'))
end

-- Everything the executor of a turn needs; the caller has just made it the owner.
-- known: epoch and version of the session that the caller remembers, so that it gets what is newer.
local function work(meta, turns, turn, frames, history_max, known_epoch, known_version)
  local m = redis.call('HGETALL', meta)
  local head = redis.call('HMGET', meta, 'version', 'context_from', 'epoch')
  local version = tonumber(head[1])
  local first = math.max(tonumber(head[2] or '0'), version - history_max)
  if known_epoch == head[3] then
    local known = tonumber(known_version)
    if known <= version then first = math.max(first, known) end
  end
  local past = {}
  if first < version then past = redis.call('LRANGE', turns, first, -1) end
  return {m, past, redis.call('HGETALL', turn), redis.call('XRANGE', frames, '-', '+'), now_ms()}
end

local function start(meta, turn, turn_id, owner, now)
  local fence = redis.call('HINCRBY', meta, 'fence', 1)
  redis.call('HSET', meta, 'running', turn_id, 'active_ms', now)
  redis.call('HSET', turn, 'state', 'running', 'owner', owner, 'fence', fence, 'progress_ms', now,
    'started_ms', now)
  redis.call('HINCRBY', turn, 'attempts', 1)
  return fence
end
