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

-- Who had a turn before its owner, one a line: for its audit record.
local function had_by(turn, owner)
  if owner == '' then return end
  local before = redis.call('HGET', turn, 'owners')
  redis.call('HSET', turn, 'owners', before and (before .. '\n' .. owner) or owner)
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

-- Notes that a turn is executed no more; tells whether it was the running one. A cancelled turn may
-- have been a waiting one; then another turn goes on running.
local function ends(meta, turn_id)
  local before = redis.call('HMGET', meta, 'running', 'leaving')
  if before[1] == turn_id then
    redis.call('HSET', meta, 'running', '')
    return true
  end
  if before[2] then
    local others = {}
    for _, one in ipairs(cjson.decode(before[2])) do
      if one ~= turn_id then table.insert(others, one) end
    end
    if #others == 0 then redis.call('HDEL', meta, 'leaving')
    else redis.call('HSET', meta, 'leaving', cjson.encode(others)) end
  end
  return false
end

-- The epochs under which the session was known before: a hash of epoch → 'deleted', or why it was
-- lost and the call that told so. Thus a loss is told once, and a deletion is none.
local function past_epochs(meta)
  return string.sub(meta, 1, -5) .. 'past'
end

-- Whether the session was deleted since a copy of it was made, which knows the epochs `before`. Who
-- deletes what was begun anew under its id after a loss means what was lost as well; a deletion that
-- the copy knows of was before it began.
local function deleted_since(past, before)
  local known, ended = {}, redis.call('HGETALL', past)
  for _, epoch in ipairs(before) do known[epoch] = true end
  for at = 1, #ended, 2 do
    if ended[at + 1] == 'deleted' and not known[ended[at]] then return true end
  end
  return false
end

-- What is left of a session in the archive: JSON of what its list shows and its copy is called by;
-- 'deleted' while copies of a deleted session are to be removed, and then 'purged'.
local function archived_mark(meta)
  return string.sub(meta, 1, -5) .. 'archived'
end

-- What people said of finished turns: turn id → JSON.
local function feedback(meta)
  return string.sub(meta, 1, -5) .. 'feedback'
end

local function is_archived(mark)
  return mark and string.sub(mark, 1, 1) == '{'
end

local function rests_since(meta)
  local at = redis.call('HMGET', meta, 'active_ms', 'restored_ms')
  return math.max(tonumber(at[1]), tonumber(at[2] or '0'))
end

-- Why the store does not know what the caller remembers of it, 'rolled_back' or 'wiped', else nil.
-- known: epoch, version and hash that the store once replied, and the highest version heard of in
-- that epoch; '' as epoch: nothing is remembered. callers: see `remembered`.
local function lost(meta, turns, head, known, history_max)
  if known.epoch == '' then return nil end
  if head.epoch ~= known.epoch then
    local told = redis.call('HGET', past_epochs(meta), known.epoch)
    if not told then return 'wiped' end
    local reason, by = string.match(told, '^(%S+) (.+)$')
    local mine = by and string.find('\n' .. known.callers .. '\n', '\n' .. by .. '\n', 1, true)
    return mine and reason or nil
  end
  if head.version < known.heard then return 'rolled_back' end
  local fresh = head.version - known.version
  if fresh > history_max then return nil end  -- not more rows than a claim reads anyway
  local hash = known.hash
  if fresh > 0 then
    for _, row in ipairs(redis.call('LRANGE', turns, known.version, -1)) do
      hash = redis.sha1hex(hash .. row)
    end
  end
  return hash ~= head.hash and 'rolled_back' or nil
end

-- Notes who tells of the loss, and gives what is left an epoch that nobody knows yet; once, however
-- often it is called.
-- Who executes a turn of it is refused at the next write; the turn stays, for its next owner.
-- Reply: {'lost', reason, ids of the turns that are open}.
local function renewed(meta, queue, head, known, reason, new_epoch, ttl_s)
  local past = past_epochs(meta)
  if not redis.call('HGET', past, known.epoch) then
    local told = reason .. ' ' .. string.match(known.callers, '^[^\n]+')
    redis.call('HSET', past, known.epoch, told, head.epoch or known.epoch, told)
    redis.call('EXPIRE', past, ttl_s)
    if head.epoch then
      redis.call('HSET', meta, 'epoch', new_epoch)
      -- Whoever said yes in what was lost must not be heard as saying it again. All of it goes: what
      -- cjson reads and writes again may be another value.
      redis.call('HDEL', meta, 'state')
    end
  end
  local open = redis.call('LRANGE', queue, 0, -1)
  local running = redis.call('HGET', meta, 'running')
  if running and running ~= '' then table.insert(open, 1, running) end
  return {'lost', reason, open}
end

-- callers: by what name the loss is told, which is this call's; or the names, one a line, of calls
-- before it whose replies did not come, and that may have been noted as those who told.
local function remembered(epoch, version, hash, heard, callers)
  return {epoch = epoch, version = tonumber(version), hash = hash, heard = tonumber(heard),
    callers = callers}
end
