"""The store of a run, of each kind that REDIS_URL can name, and what can be done to it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

import redis

from tests.redis_server import RedisServer
from tests.redis_sets import RedisCluster, RedisSentinel, until
from tests.relay import Relay

_TIMEOUT_S = 5.0
_PAUSE_MS = 200
_AGAIN_S = 60.0


class Store:
    """A single Redis behind a relay, which stands for the network."""

    kind = "single"

    def __init__(self) -> None:
        self._server = RedisServer()
        self._relay = Relay(self._server.port)

    @property
    def url(self) -> str:
        """What the cluster is given."""
        return self._relay.url

    @property
    def direct_url(self) -> str:
        """For whoever looks on."""
        return self._server.url

    def servers(self) -> Sequence[RedisServer]:
        """Return those that hold data."""
        return [self._server]

    def start(self) -> None:
        """Start all of it."""
        self._server.start()

    def remove(self) -> None:
        """End it and remove what it kept."""
        self._relay.remove()
        self._server.remove()

    def slow(self, delay_s: tuple[float, float], *, seconds: float) -> None:
        """Let each chunk on the wire wait for a random time within these bounds."""
        self._relay.slow(delay_s)
        time.sleep(seconds)
        self._relay.slow(None)

    def reset(self) -> int:
        """Hang up on everybody; return on how many."""
        cut = self._relay.connections
        self._relay.reset()
        return cut

    def restart(self) -> None:
        """Kill it and start it again."""
        self._server.kill()
        self._server.start()

    def wipe(self) -> None:
        """Forget everything."""
        self._server.wipe()

    def disturb(self) -> None:
        """Let it change hands, where there are several."""
        raise NotImplementedError

    def mend(self) -> None:
        """Wait until it can change hands again."""


class _Set(Store):
    """Several servers that clients find by themselves, so that nothing stands before them."""

    _set: RedisSentinel | RedisCluster

    @property
    def url(self) -> str:
        return self._set.url

    @property
    def direct_url(self) -> str:
        return self._set.url

    def start(self) -> None:
        self._set.start()

    def remove(self) -> None:
        self._set.remove()

    def wipe(self) -> None:
        self._set.wipe()

    def slow(self, delay_s: tuple[float, float], *, seconds: float) -> None:
        """Let the servers answer nothing for a moment, again and again."""
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            for client in self.clients():
                with suppress(redis.TimeoutError):
                    client.client_pause(_PAUSE_MS)
            time.sleep(2 * _PAUSE_MS / 1000)

    def reset(self) -> int:
        cut = 0
        for client in self.clients():
            for kind in ("normal", "pubsub"):
                cut += int(client.client_kill_filter(_type=kind, skipme=True))
        return cut

    def clients(self) -> list[Any]:
        """Return a client of each server that lives."""
        return [
            redis.Redis(port=server.port, socket_timeout=_TIMEOUT_S)
            for server in self.servers()
            if server.running
        ]


class SentinelStore(_Set):
    """A primary and its replica behind three sentinels."""

    kind = "sentinel"

    def __init__(self) -> None:
        self._set: RedisSentinel = RedisSentinel()
        self._killed: RedisServer | None = None

    def servers(self) -> Sequence[RedisServer]:
        return self._set.data

    def disturb(self) -> None:
        """Kill the primary and return when the sentinels name another one."""
        old = self._killed = self._set.primary()
        old.kill()
        until(lambda: self._set.primary() is not old, timeout_s=_AGAIN_S)

    def mend(self) -> None:
        """Bring the one that was killed back as a replica.

        Not before the other one is primary: it comes back empty, and would be copied.
        """
        if self._killed is None:
            return
        self._killed.start()
        client: Any = redis.Redis(port=self._killed.port, socket_timeout=_TIMEOUT_S)

        def follows() -> bool:
            seen = client.info("replication")
            return bool(seen["role"] == "slave" and seen["master_link_status"] == "up")

        until(follows, timeout_s=_AGAIN_S)
        self._killed = None


class ClusterStore(_Set):
    """Three shards, each with a third of the slots."""

    kind = "cluster"

    def __init__(self) -> None:
        self._set: RedisCluster = RedisCluster()

    def servers(self) -> Sequence[RedisServer]:
        return self._set.shards

    def move(self, slots: Sequence[int]) -> None:
        """Move slots to other shards, key by key, while they are used."""
        for slot in slots:
            self._set.move(slot)


STORES: Final[Mapping[str, Callable[[], Store]]] = {
    "single": Store,
    "sentinel": SentinelStore,
    "cluster": ClusterStore,
}


@contextmanager
def store(kind: str) -> Iterator[Store]:
    """Run a store of this kind."""
    made = STORES[kind]()
    try:
        made.start()
        yield made
    finally:
        made.remove()
