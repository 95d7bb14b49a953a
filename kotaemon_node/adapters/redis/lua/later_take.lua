-- KEYS: due, of each kind
-- ARGV: 1 prefix of the shard  2 holder  3 lease (ms)  4… how many are taken of each kind
-- Leases jobs that are due: until the lease ends they are due again at its end.
-- `begun` counts how often a job was handed out and never falls, as `attempts` may; a record of an
-- older program has none, or one that older pods did not raise.
-- Reply: {member, late (ms), age (ms), record, now (ms)} of each. A member whose record is lost goes.
local now, found = now_ms(), {}
for i, due in ipairs(KEYS) do
  local free = tonumber(ARGV[3 + i])
  local rows = free > 0
    and redis.call('ZRANGEBYSCORE', due, '-inf', now, 'WITHSCORES', 'LIMIT', 0, free) or {}
  for at = 1, #rows, 2 do
    local record = ARGV[1] .. 'job:' .. rows[at]
    -- All are read before the first write: while a slot moves, a key that is not here refuses.
    local row = redis.call('HMGET', record, 'state', 'since_ms', 'attempts', 'begun')
    table.insert(found, {due, rows[at], tonumber(rows[at + 1]), record, row})
  end
end
local taken = {}
for _, one in ipairs(found) do
  local due, member, since, record, row = unpack(one)
  if row[1] == 'waiting' or row[1] == 'running' then
    local begun = math.max(tonumber(row[3] or 0), tonumber(row[4] or 0)) + 1
    redis.call('HINCRBY', record, 'attempts', 1)
    redis.call('HSET', record, 'state', 'running', 'holder', ARGV[2], 'begun', begun,
      'due_ms', now + tonumber(ARGV[3]))
    redis.call('ZADD', due, now + tonumber(ARGV[3]), member)
    table.insert(taken,
      {member, now - since, now - tonumber(row[2]), redis.call('HGETALL', record), now})
  else
    redis.call('ZREM', due, member)
    local tenant, name = string.match(member, '^([^/]+)/(.+)$')
    redis.call('ZREM', ARGV[1] .. 'of:' .. tenant, name)
  end
end
return taken
