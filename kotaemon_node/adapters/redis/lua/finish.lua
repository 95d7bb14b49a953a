-- KEYS: 1 record of the job  2 queue  3 dead jobs  4 tenants whose jobs wait
-- ARGV: 1 id  2 'done' or 'failed'  3 reason  4 result (JSON)  5 kept (s)  6 dead at most, 0: it is none
--   7 tenant
-- Ends a job. A second time changes nothing.
local entry = redis.call('HGET', KEYS[1], 'entry')
if not entry or redis.call('XDEL', KEYS[2], entry) == 0 then return 0 end
if redis.call('XLEN', KEYS[2]) == 0 then redis.call('SREM', KEYS[4], ARGV[7]) end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], 'state', ARGV[2], 'reason', ARGV[3], 'result', ARGV[4],
  'changed_ms', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('EXPIRE', KEYS[1], ARGV[5])
if tonumber(ARGV[6]) > 0 then
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[6], '*', 'id', ARGV[1], 'reason', ARGV[3])
end
return 1
