-- KEYS: 1 wordings of a knowledge base    ARGV: their ids
-- Notes of each how often it had been asked when it was dismissed. Reply: how many there are.
local found = 0
for _, id in ipairs(ARGV) do
  local raw = redis.call('HGET', KEYS[1], id)
  if raw then
    local row = cjson.decode(raw)
    row.dismissed = row.asked
    redis.call('HSET', KEYS[1], id, cjson.encode(row))
    found = found + 1
  end
end
return found
