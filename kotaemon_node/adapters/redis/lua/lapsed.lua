-- KEYS: 1 mark    ARGV: 1 the mark as seen
-- Removes the mark of a session whose copy ended before it: copies were kept for longer then.
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
