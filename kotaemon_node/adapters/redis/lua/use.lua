-- KEYS: 1 what the principal used  2 its streams  3 its reservations of cost
--       4 to 6 the same of the tenant  7 the turn
-- ARGV: 1 take, look, settle, tell or forget  2 stream or ''  3 life of a stream (ms)
--       4 1: of a turn, 2: comes back to one  5 its digest
--       6 life of a reservation, or of a settled turn (ms)  7 how often a turn may be asked for again  8 subject
--       9 to 12 wanted: requests, tokens, cost, bytes
--         to settle: the attempt, then what the turn took, '' where that is not known
--         to tell: the attempt, tokens, cost, and what of both no other attempt knows of
--       13 to 17 the principal's limits, 18 to 22 the tenant's: requests, tokens, cost, streams,
--       bytes; -1: none
-- The contract is that of ports/use.py. Costs are in millionths. Reply to settle and forget: 1, or 0
-- where nothing is reserved any more, or others have handed in the turn as well; else: 1 taken, 2 taken and the
-- turn was known, 0 refused; the place of the limit waited for longest (1 to 10); the wait (ms);
-- then of each of the ten limits what is left and the ms until all of it is.
--
-- A window is a ring of 61 seconds in the hash (r0 to r60 requests, t0 to t60 tokens) with its sum:
-- the second under way and the sixty before. The oldest second may be over in part, and still
-- counts: so never more than the limit is let in within any 60 s.
local taking, stream = ARGV[1] == 'take', ARGV[2]
local now = now_ms()
local second, day = math.floor(now / 1000), math.floor(now / 86400000)
local midnight = (day + 1) * 86400000 - now

-- Take out of a ring what is older than its 61 seconds; returns sum, newest second, and what the
-- second under way has.
local function roll(key, ring)
  local this = ring .. (second % 61)
  local row = redis.call('HMGET', key, ring .. 'from', ring .. 'sum', ring .. 'last', this)
  local from, sum, last = tonumber(row[1] or second), tonumber(row[2] or 0), tonumber(row[3] or 0)
  if last > second or from > second then
    -- The store's clock was set back, or another server's goes behind it. What still counted then
    -- counts as of now: nothing more is let in for it, and in 61 seconds it is over.
    local places = {}
    for place = 0, 60 do places[#places + 1] = ring .. place end
    redis.call('HDEL', key, unpack(places))
    redis.call('HSET', key, this, sum, ring .. 'from', second, ring .. 'last', second)
    return sum, second, sum
  end
  local first = second - 60
  if from < first then
    local fields = {}
    for old = from, math.min(first - 1, from + 60) do fields[#fields + 1] = ring .. (old % 61) end
    for _, used in ipairs(redis.call('HMGET', key, unpack(fields))) do
      sum = sum - tonumber(used or 0)
    end
    redis.call('HDEL', key, unpack(fields))
    redis.call('HSET', key, ring .. 'from', first, ring .. 'sum', sum)
  end
  -- A ring's place has the second under way only if it was the newest.
  return sum, last, last == second and tonumber(row[4] or 0) or 0
end

-- After how long `missing` of a ring is free.
local function ring_wait(key, ring, missing)
  local fields = {}
  for old = second - 60, second do fields[#fields + 1] = ring .. (old % 61) end
  for place, used in ipairs(redis.call('HMGET', key, unpack(fields))) do
    missing = missing - tonumber(used or 0)
    if missing <= 0 then return (second - 61 + place + 61) * 1000 - now end
  end
  return 61000
end

-- Put on `fields`, for HSET, a ring with more; an empty one begins now.
local function add(fields, ring, used, sum, last, this)
  if last == 0 or last < second - 60 then
    fields[#fields + 1], fields[#fields + 2] = ring .. 'from', second
  end
  local at = #fields
  fields[at + 1], fields[at + 2] = ring .. (second % 61), this + used
  fields[at + 3], fields[at + 4] = ring .. 'sum', sum + used
  fields[at + 5], fields[at + 6] = ring .. 'last', second
end

-- Begin a new day, and count as spent what was reserved and never settled: whoever could have told
-- is gone, and the language model was asked perhaps. Returns spent, held, bytes.
local function today(key, held)
  local row = redis.call('HMGET', key, 'day', 'cost', 'held', 'bytes')
  local spent, reserved, bytes = tonumber(row[2] or 0), tonumber(row[3] or 0), tonumber(row[4] or 0)
  local begun = tonumber(row[1] or day)
  if begun ~= day then
    -- A clock that was set back over midnight begins no day anew.
    if begun ~= day + 1 then spent, bytes = 0, 0 end
    redis.call('HSET', key, 'day', day, 'cost', spent, 'bytes', bytes)
  end
  local over = redis.call('ZRANGEBYSCORE', held, '-inf', now, 'WITHSCORES', 'LIMIT', 0, 500)
  local members = {}
  for at = 1, #over, 2 do
    local cost = tonumber(string.match(over[at], ':(%d+)$'))
    members[#members + 1] = over[at]
    reserved = reserved - cost
    if math.floor(tonumber(over[at + 1]) / 86400000) == day then spent = spent + cost end
  end
  if #members > 0 then
    redis.call('ZREM', held, unpack(members))
    redis.call('HSET', key, 'day', day, 'held', reserved, 'cost', spent)
  end
  return spent, reserved, bytes
end

local function keep(key)
  redis.call('PEXPIRE', key, redis.call('HEXISTS', key, 'day') == 1 and 172800000 or 120000)
end

-- Put what a turn took in the place of what was reserved for it, or, again, of what was put there.
local function settle(row, tokens, cost, again)
  local at, reserved = tonumber(row[1]), tonumber(row[3])
  local more = tokens - tonumber(row[2])
  for scope, letter in ipairs({'p', 't'}) do
    local key, held = KEYS[3 * scope - 2], KEYS[3 * scope]
    if more ~= 0 and string.find(row[4], letter, 1, true) then
      local sum, last, this = roll(key, 't')
      -- What was not used is given back where it was reserved, if that still counts; what was used
      -- besides counts from now on.
      if more > 0 then
        local fields = {}
        add(fields, 't', more, sum, last, this)
        redis.call('HSET', key, unpack(fields))
      elseif at >= second - 60 and at <= second then
        -- Where the clock was set back it is elsewhere: no place gives more than it has.
        local field = 't' .. (at % 61)
        local back = math.min(-more, tonumber(redis.call('HGET', key, field) or 0))
        if back > 0 then
          redis.call('HINCRBY', key, field, -back)
          redis.call('HINCRBY', key, 'tsum', -back)
        end
      end
      keep(key)
    end
    if string.find(row[5], letter, 1, true) then
      local spent = today(key, held)
      local member = ARGV[5] .. ':' .. string.format('%d', reserved)
      local still = redis.call('ZREM', held, member) == 1
      if still then redis.call('HINCRBY', key, 'held', -reserved) end
      redis.call('HSET', key, 'day', day)
      -- Else it expired, and is spent as it was reserved.
      if again then
        redis.call('HINCRBY', key, 'cost', math.max(cost - reserved, -spent))
      elseif still or reserved == 0 then
        redis.call('HINCRBY', key, 'cost', cost)
      end
      keep(key)
    end
  end
end

-- What a turn took: what the last attempt knows of, or else was reserved, and what of each of the
-- others nobody knows but itself.
local function whole(turn, last, reserved_tokens, reserved_cost)
  local row, fields = {}, redis.call('HGETALL', turn)
  for at = 1, #fields, 2 do row[fields[at]] = fields[at + 1] end
  local tokens, cost = tonumber(row.took_tokens), tonumber(row.took_cost)
  local lost_tokens, lost_cost = 0, 0
  for field, told in pairs(row) do
    local attempt = string.match(field, '^told(%d+)$')
    if attempt then
      local all, all_cost, more, more_cost = string.match(told, '(%d+):(%d+):(%d+):(%d+)')
      if attempt ~= last then
        lost_tokens, lost_cost = lost_tokens + tonumber(more), lost_cost + tonumber(more_cost)
      elseif not row.took_tokens then
        tokens, cost = tonumber(all), tonumber(all_cost)
      end
    end
  end
  return (tokens or reserved_tokens) + lost_tokens, (cost or reserved_cost) + lost_cost
end

if ARGV[1] == 'settle' or ARGV[1] == 'tell' or ARGV[1] == 'forget' then
  local turn, attempt = KEYS[7], ARGV[9]
  local row = redis.call('HMGET', turn, 'second', 'tokens', 'cost', 'tokens_of', 'cost_of', 'settled',
    'now_tokens', 'now_cost', 'last')
  local settled, last = row[6], row[9]
  if not row[1] then return 0 end
  if ARGV[1] == 'tell' then
    -- Whoever ends the turn may do so before this, or after.
    if settled == 'known' and last == attempt then return 0 end
    local told = table.concat({ARGV[10], ARGV[11], ARGV[12], ARGV[13]}, ':')
    if redis.call('HSETNX', turn, 'told' .. attempt, told) == 0 or not settled then return 1 end
  elseif settled then
    return 0
  elseif ARGV[1] == 'settle' then
    last = attempt
    redis.call('HSET', turn, 'last', last, 'settled', ARGV[10] == '' and 'untold' or 'known')
    if ARGV[10] ~= '' then redis.call('HSET', turn, 'took_tokens', ARGV[10], 'took_cost', ARGV[11]) end
  else
    -- Another request may have handed it in meanwhile, and been accepted.
    if redis.call('HINCRBY', turn, 'handed', -1) > 0 then return 0 end
    settle(row, 0, 0)
    -- How often it was asked for stays; whoever hands it in again reserves again.
    redis.call('HDEL', turn, 'second', 'tokens', 'cost', 'tokens_of', 'cost_of', 'handed')
    redis.call('PEXPIRE', turn, ARGV[6])
    return 1
  end
  local tokens, cost = whole(turn, last, tonumber(row[2]), tonumber(row[3]))
  settle({row[1], row[7] or row[2], row[8] or row[3], row[4], row[5]}, tokens, cost, settled)
  redis.call('HSET', turn, 'now_tokens', tokens, 'now_cost', cost)
  redis.call('PEXPIRE', turn, ARGV[6])
  return 1
end

local known, reserved_before = false, false
local asked = false
if ARGV[4] ~= '0' then
  local row = redis.call('HMGET', KEYS[7], 'asked', 'second')
  asked = row[1]
  known = asked and tonumber(asked) < tonumber(ARGV[7])
  reserved_before = row[2] and true or false
end
local requests = known and 0 or tonumber(ARGV[9])
-- What was reserved for a turn stays so; it runs once however often it is asked for.
local tokens = reserved_before and 0 or tonumber(ARGV[10])
local cost = reserved_before and 0 or tonumber(ARGV[11])
local bytes = tonumber(ARGV[12])

local reply, place_refused, wait_ms = {}, 0, 0
local function judge(place, limit, used, wanted, wait, reset)
  if limit < 0 then
    reply[#reply + 1], reply[#reply + 2] = -1, 0
    return
  end
  if taking and wanted > 0 and used + wanted > limit then
    local this_ms = math.max(1, wait())
    if this_ms > wait_ms then place_refused, wait_ms = place, this_ms end
  end
  reply[#reply + 1], reply[#reply + 2] = math.max(0, limit - used), math.max(0, reset)
end

local rings = {{}, {}}
for scope = 0, 1 do
  local used, streams, held = KEYS[1 + 3 * scope], KEYS[2 + 3 * scope], KEYS[3 + 3 * scope]
  local function limit(number) return tonumber(ARGV[12 + 5 * scope + number]) end
  local function window(number, ring, wanted)
    local sum, last, this = 0, 0, 0
    if limit(number) >= 0 then sum, last, this = roll(used, ring) end
    rings[scope + 1][ring] = {sum, last, this}
    judge(5 * scope + number, limit(number), sum, wanted, function()
      return ring_wait(used, ring, sum + wanted - limit(number))
    end, (last + 61) * 1000 - now)
  end
  window(1, 'r', requests)
  window(2, 't', tokens)
  local spent, reserved, sent = 0, 0, 0
  if limit(3) >= 0 or limit(5) >= 0 then spent, reserved, sent = today(used, held) end
  judge(5 * scope + 3, limit(3), spent + reserved, cost, function()
    -- What others reserved may be given back at any time; what was spent is until midnight.
    return spent + cost <= limit(3) and 1000 or midnight
  end, midnight)
  local open = 0
  local another = 0
  if limit(4) >= 0 then
    redis.call('ZREMRANGEBYSCORE', streams, '-inf', now)
    open = redis.call('ZCARD', streams)
    another = stream ~= '' and not redis.call('ZSCORE', streams, stream) and 1 or 0
  end
  judge(5 * scope + 4, limit(4), open, another, function() return 1000 end, 0)
  judge(5 * scope + 5, limit(5), sent, bytes, function() return midnight end, midnight)
end

if not taking then return {1, 0, 0, unpack(reply)} end
if place_refused > 0 then return {0, place_refused, wait_ms, unpack(reply)} end

local function took(place, used)
  if reply[2 * place - 1] < 0 then return end
  reply[2 * place - 1] = reply[2 * place - 1] - used
  if (place - 1) % 5 < 2 and used > 0 then reply[2 * place] = (second + 61) * 1000 - now end
end

for scope = 0, 1 do
  local used, streams, held = KEYS[1 + 3 * scope], KEYS[2 + 3 * scope], KEYS[3 + 3 * scope]
  local function limited(number) return tonumber(ARGV[12 + 5 * scope + number]) >= 0 end
  local fields = {}
  if limited(1) and requests > 0 then add(fields, 'r', requests, unpack(rings[scope + 1].r)) end
  if limited(2) and tokens > 0 then add(fields, 't', tokens, unpack(rings[scope + 1].t)) end
  if #fields > 0 then redis.call('HSET', used, unpack(fields)) end
  if limited(3) and cost > 0 then
    redis.call('HSET', used, 'day', day)
    redis.call('HINCRBY', used, 'held', cost)
    redis.call('ZADD', held, now + tonumber(ARGV[6]), ARGV[5] .. ':' .. string.format('%d', cost))
    redis.call('PEXPIRE', held, 172800000)  -- as long as the sum of it
  end
  if limited(4) and stream ~= '' then
    local new = redis.call('ZADD', streams, now + tonumber(ARGV[3]), stream)
    redis.call('PEXPIRE', streams, 2 * tonumber(ARGV[3]))
    took(5 * scope + 4, new)
  end
  if limited(5) and bytes > 0 then
    redis.call('HSET', used, 'day', day)
    redis.call('HINCRBY', used, 'bytes', bytes)
  end
  took(5 * scope + 1, requests)
  took(5 * scope + 2, tokens)
  took(5 * scope + 3, cost)
  took(5 * scope + 5, bytes)
  if #fields > 0 or limited(3) or limited(5) then keep(used) end
end
if ARGV[4] == '1' or asked then redis.call('HINCRBY', KEYS[7], 'asked', 1) end
if ARGV[4] == '1' then
  redis.call('HINCRBY', KEYS[7], 'handed', 1)
  if not reserved_before then
    local function scopes(number)
      return (tonumber(ARGV[12 + number]) >= 0 and 'p' or '')
        .. (tonumber(ARGV[17 + number]) >= 0 and 't' or '')
    end
    redis.call('HSET', KEYS[7], 'second', second, 'tokens', tokens, 'cost', cost,
      'of', ARGV[8], 'tokens_of', scopes(2), 'cost_of', scopes(3))
    redis.call('PEXPIRE', KEYS[7], ARGV[6])
  end
end
return {known and 2 or 1, 0, 0, unpack(reply)}
