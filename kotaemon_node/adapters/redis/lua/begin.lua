-- KEYS: 1 record of the job  2 queue    ARGV: 1 its entry in the queue
-- Counts one more begin. Reply: the record, empty where it is lost; then its entry goes, too.
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('XDEL', KEYS[2], ARGV[1])
  return {}
end
local time = redis.call('TIME')
redis.call('HINCRBY', KEYS[1], 'attempts', 1)
redis.call('HSET', KEYS[1], 'state', 'running',
  'changed_ms', time[1] * 1000 + math.floor(time[2] / 1000))
return redis.call('HGETALL', KEYS[1])
