-- KEYS: 1 record of the job  2 due    ARGV: 1 member  2 holder  3 lease (ms)
-- Begins a lease anew. Reply: 1, or 0 where the job is another's or has ended.
local row = redis.call('HMGET', KEYS[1], 'state', 'holder')
if row[1] ~= 'running' or row[2] ~= ARGV[2] then return 0 end
local due = now_ms() + tonumber(ARGV[3])
redis.call('HSET', KEYS[1], 'due_ms', due)
redis.call('ZADD', KEYS[2], due, ARGV[1])
return 1
