-- KEYS: 1 meta  2 turns  3 queue  4 seen
-- ARGV: 1 key prefix  2 signal channel  3 kept for (s)  4 epoch  5 ttl of a session (s)
--       6 for how long copies of it may lie in the archive (s)
-- Removes a session. A turn under way finds another epoch or none, and ends with `gone`; the ids of
-- its turns are kept for a while, so that a late retry of one is not run in a new session. Its epoch
-- is kept for as long as a pod may remember it, so that nobody takes the deletion for a loss.
-- Reply: '1' where there may be copies to be removed, else ''; then id and owner of the turn that
-- was running. Another epoch: this one was deleted before.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[4] then return {'1'} end
-- A full store takes what is written behind a deletion, so the epoch is noted last. While a slot
-- moves, its key is refused where it is not here: better now than then.
local past, mark = past_epochs(KEYS[1]), archived_mark(KEYS[1])
redis.call('EXISTS', past, feedback(KEYS[1]))
-- A mark beside a session that is there: copies of one that was deleted before are still to be
-- removed, or a pod that knew no archive began an archived one anew.
local before = redis.call('GET', mark)
local copied = redis.call('HGET', KEYS[1], 'copied') or (before and before ~= 'purged')
local running = redis.call('HGET', KEYS[1], 'running')
local open, reply = redis.call('LRANGE', KEYS[3], 0, -1), {copied and '1' or ''}
if running and running ~= '' then
  open[#open + 1] = running
  reply = {reply[1], running, redis.call('HGET', ARGV[1] .. 'turn:' .. running, 'owner') or ''}
end
for _, id in ipairs(redis.call('HKEYS', KEYS[4])) do
  redis.call('DEL', ARGV[1] .. 'turn:' .. id, frames_key(ARGV[1], id), ARGV[1] .. 'record:' .. id)
  redis.call('HSET', KEYS[4], id, 'gone')
end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], feedback(KEYS[1]))
redis.call('HSET', past, ARGV[4], 'deleted')
redis.call('EXPIRE', past, ARGV[5])
if copied then redis.call('SET', mark, 'deleted', 'EX', ARGV[6]) end
redis.call('EXPIRE', KEYS[4], ARGV[3])
for _, id in ipairs(open) do tell(ARGV[2], id .. ' 0') end
tell(ARGV[2], ' 0') -- for those who follow the session while no turn runs
return reply
