-- KEYS: due and dead, of each kind in turn
-- Reply: {waiting, late (ms), dead} of each kind; late: since when the oldest is due, else 0.
local now, counts = now_ms(), {}
for i = 1, #KEYS, 2 do
  local oldest = redis.call('ZRANGE', KEYS[i], 0, 0, 'WITHSCORES')
  local late = oldest[2] and math.max(0, now - tonumber(oldest[2])) or 0
  table.insert(counts, {redis.call('ZCARD', KEYS[i]), late, redis.call('ZCARD', KEYS[i + 1])})
end
return counts
