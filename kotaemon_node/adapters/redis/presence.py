"""Heartbeats of pods: a key that expires says who lives; a sorted set helps to find the keys."""

from collections.abc import Sequence
from typing import Any

import orjson

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.store_errors import store_errors
from kotaemon_node.ports.knowledge import PodReport
from kotaemon_node.ports.runtime import Clock

# The set is pruned by the pods' own clocks, so generously: what decides is the key's expiry.
_FORGET_AFTER_MS = 3_600_000


class RedisPresence:
    """``ports.knowledge.Presence``."""

    def __init__(self, store: RedisStore, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def beat(self, pod: PodReport, *, ttl_s: float) -> None:
        """See the port."""
        incarnation = str(pod["incarnation"])
        now_ms = int(self._clock.now_s() * 1000)

        def fill(pipe: Any) -> None:
            pipe.set(keys.pod(incarnation), orjson.dumps(pod), px=int(ttl_s * 1000))
            pipe.zadd(keys.PODS, {incarnation: now_ms})
            pipe.zremrangebyscore(keys.PODS, "-inf", now_ms - _FORGET_AFTER_MS)

        self._store.pipelined(fill)

    def leave(self, incarnation: str) -> None:
        """See the port."""
        with store_errors():
            self._store.client.delete(keys.pod(incarnation))
            self._store.client.zrem(keys.PODS, incarnation)

    def pods(self) -> Sequence[PodReport]:
        """See the port."""
        with store_errors():
            names = self._store.client.zrange(keys.PODS, 0, -1)
            if not names:
                return ()

        def fill(pipe: Any) -> None:
            for name in names:
                pipe.get(keys.pod(name.decode()))

        rows = self._store.pipelined(fill)
        reports = [PodReport(orjson.loads(row)) for row in rows if row]
        return sorted(reports, key=lambda report: str(report["name"]))

    def pod(self, incarnation: str) -> PodReport | None:
        """See the port."""
        with store_errors():
            row = self._store.client.get(keys.pod(incarnation))
        return PodReport(orjson.loads(row)) if row else None
