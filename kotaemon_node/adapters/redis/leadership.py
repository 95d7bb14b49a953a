"""A leader lease with a fence."""

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.store_errors import store_errors


class RedisLeadership:
    """``ports.knowledge.Leadership`` for the office called ``name``."""

    def __init__(self, store: RedisStore, name: str) -> None:
        self._store = store
        self._key = keys.leader(name)

    def acquire(self, holder: str, *, ttl_s: float) -> int | None:
        """See the port."""
        names = [self._key, f"{self._key}:fence"]
        return int(self._store.run("lead", names, [holder, int(ttl_s * 1000)])) or None

    def release(self, holder: str) -> None:
        """See the port."""
        self._store.run("resign", [self._key], [holder])

    def depose(self) -> str | None:
        """End the lead of whoever has it, so that another may take it; return who had it.

        He finds out before he publishes anything, and leads again, when he does, as one who begins.
        """
        with store_errors():
            holder = self._store.client.hget(self._key, "holder")
        if holder is None:
            return None
        self.release(holder.decode())
        return str(holder.decode())
