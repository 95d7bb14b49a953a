"""Breakers of both kinds, on which time passes when a test says so."""

from collections.abc import Callable
from dataclasses import dataclass

from kotaemon_node.adapters.redis import RedisBreaker, RedisStore
from kotaemon_node.engine.breaking import MemoryBreaker
from kotaemon_node.ports.breakers import Breaker
from tests.fakes.services import FakeClock


@dataclass(frozen=True)
class Timed:
    """A breaker, and what lets seconds pass."""

    breaker: Breaker
    passes: Callable[[float], None]


def in_memory() -> Timed:
    clock = FakeClock()
    return Timed(MemoryBreaker(clock=clock), clock.sleep)


def in_redis(store: RedisStore, *, address: str = "http://llm/v1") -> Timed:
    """Redis goes by its own time, so what it noted is put back instead."""
    breaker = RedisBreaker(store, address=address)

    def passes(duration_s: float) -> None:
        for field in ("until", "probe_until"):
            if int(store.client.hget(breaker._key, field) or 0):
                store.client.hincrby(breaker._key, field, -int(duration_s * 1000))

    return Timed(breaker, passes)
