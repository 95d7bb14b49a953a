-- KEYS: 1 wordings of a knowledge base  2 their ids by how often they were asked  3 what was noted
-- ARGV: 1 what is noted, by name  2 for how long that is known (s)  3 ttl (s)  4 most wordings
--       5 id  6 question, which may be sealed  7 rated down ('1')  8 time (s)  9 example (JSON)  10 most examples
-- Notes a question that was not answered well, once. Reply: 'ok' or 'again'.
if redis.call('SADD', KEYS[3], ARGV[1]) == 0 then return 'again' end
redis.call('EXPIRE', KEYS[3], ARGV[2])
local raw = redis.call('HGET', KEYS[1], ARGV[5])
if not raw and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then
  -- A new one takes the place of the rarest, so that what begins to be asked often finds a place.
  local out = redis.call('ZPOPMIN', KEYS[2])
  if out[1] then redis.call('HDEL', KEYS[1], out[1]) end
end
local row = raw and cjson.decode(raw)
  or {question = ARGV[6], asked = 0, down = 0, dismissed = 0, first_at = tonumber(ARGV[8]), examples = {}}
row.question = ARGV[6]  -- sealed by the key of now: that of before may be destroyed
row.asked = row.asked + 1
row.down = row.down + tonumber(ARGV[7])
row.last_at = tonumber(ARGV[8])
table.insert(row.examples, 1, cjson.decode(ARGV[9]))
while #row.examples > tonumber(ARGV[10]) do table.remove(row.examples) end
redis.call('HSET', KEYS[1], ARGV[5], cjson.encode(row))
redis.call('ZADD', KEYS[2], row.asked, ARGV[5])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 'ok'
