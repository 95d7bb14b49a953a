-- KEYS: 1 pointers of a tenant    ARGV: 1 knowledge base  2 generation  3 the reference (JSON)
-- Points to a newer generation; never back by itself. Reply: 1 when it points there now.
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held then
  if held == ARGV[3] then return 1 end
  local readable, ref = pcall(cjson.decode, held)
  local number = readable and type(ref) == 'table' and tonumber(ref['generation'])
  -- What nobody can read is no pointer.
  if number and number >= tonumber(ARGV[2]) then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
