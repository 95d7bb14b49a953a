-- KEYS: 1 record of the job  2 due  3 of its tenant
-- ARGV: 1 member  2 name  3 holder  4 delay (ms)  5 error  6 '1': this was one of its attempts
-- Gives a job back, to be begun later. Reply: 1, or 0 where it is another's or has ended.
local row = redis.call('HMGET', KEYS[1], 'state', 'holder')
if row[1] ~= 'running' or row[2] ~= ARGV[3] then return 0 end
local due = now_ms() + tonumber(ARGV[4])
redis.call('HSET', KEYS[1], 'state', 'waiting', 'holder', '', 'error', ARGV[5], 'due_ms', due)
if ARGV[6] ~= '1' then redis.call('HINCRBY', KEYS[1], 'attempts', -1) end
redis.call('ZADD', KEYS[2], due, ARGV[1])
redis.call('ZADD', KEYS[3], due, ARGV[2])
return 1
