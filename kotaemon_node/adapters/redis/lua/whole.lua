-- KEYS: 1 meta  2 turns  3 queue  4 seen
-- Reads what belongs to a session beside its history, as it is at one moment. Writes nothing.
-- Reply: {meta, seen, past, feedback}, each as HGETALL gives it.
local meta = KEYS[1]
return {redis.call('HGETALL', meta), redis.call('HGETALL', KEYS[4]),
  redis.call('HGETALL', past_epochs(meta)), redis.call('HGETALL', feedback(meta))}
