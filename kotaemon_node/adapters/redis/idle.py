"""The index of idle sessions: which are to be archived next, by their last activity.

It is a hint in slots of its own: an entry that is wrong costs a look at its session, one that is
lost means that the session stays where it is until its life ends.
"""

from typing import Any

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.store_errors import store_errors
from kotaemon_node.domain.session import SessionKey


class IdleSessions:
    """Sorted sets in shards; an entry is about 110 bytes of Redis."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def fill(self, pipe: Any, key: SessionKey, *, at_ms: int) -> None:
        """Put on ``pipe`` what enters the session with its last activity."""
        shard, member = keys.idle(key)
        pipe.zadd(shard, {member: at_ms})

    def enter_now(self, key: SessionKey) -> None:
        """Enter the session as one that was active in this moment."""
        shard, member = keys.idle(key)
        self._store.run("enter", [shard], [member])

    def enter_deleted(self, key: SessionKey) -> None:
        """Enter it as the first to be looked at: its copies are to be removed."""
        shard, member = keys.idle(key)
        with store_errors():
            self._store.client.zadd(shard, {member: 0})

    def leave(self, key: SessionKey) -> None:
        """Take it out."""
        shard, member = keys.idle(key)
        with store_errors():
            self._store.client.zrem(shard, member)
