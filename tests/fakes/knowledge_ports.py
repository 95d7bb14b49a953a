"""Pointer, leadership and bus in memory, which can be away, and a clock set by hand.

``tests/integration/test_coordinator_ports.py`` holds them to what the Redis adapters do.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.ports.events import Message


class HandClock:
    """``ports.runtime.Clock`` that moves only when told to."""

    def __init__(self, now_s: float = 1_800_000_000.0) -> None:
        self._now_s = now_s

    def now_s(self) -> float:
        return self._now_s

    def monotonic_s(self) -> float:
        return self._now_s

    def sleep(self, duration_s: float) -> None:
        self._now_s += duration_s

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(timeout_s)


@dataclass
class MemoryPointer:
    """``ports.knowledge.GenerationPointer``."""

    refs: dict[str, dict[str, GenerationRef]] = field(default_factory=dict)
    away: bool = False

    def current(self, tenant: str) -> Mapping[str, GenerationRef]:
        self._answer()
        return dict(self.refs.get(tenant, {}))

    def publish(self, tenant: str, ref: GenerationRef) -> bool:
        self._answer()
        known = self.refs.setdefault(tenant, {}).get(ref.kb)
        if known is not None and known != ref and known.generation >= ref.generation:
            return False
        self.refs[tenant][ref.kb] = ref
        return True

    def _answer(self) -> None:
        if self.away:
            raise StoreUnavailable("the session store does not answer")


class MemoryLeadership:
    """``ports.knowledge.Leadership`` for several holders."""

    def __init__(self, clock: HandClock) -> None:
        self._clock = clock
        self._holder: str | None = None
        self._until_s = 0.0
        self._fence = 0
        self.away = False

    def acquire(self, holder: str, *, ttl_s: float) -> int | None:
        self._answer()
        now_s = self._clock.monotonic_s()
        if self._holder is None or now_s >= self._until_s:
            self._holder = holder
            self._fence += 1
        if self._holder != holder:
            return None
        self._until_s = now_s + ttl_s
        return self._fence

    def release(self, holder: str) -> None:
        self._answer()
        if self._holder == holder:
            self._holder = None

    def _answer(self) -> None:
        if self.away:
            raise StoreUnavailable("the session store does not answer")


@dataclass
class MemoryBus:
    """``ports.events.Bus`` that keeps what is published."""

    messages: list[Message] = field(default_factory=list)
    away: bool = False

    def publish(self, message: Message) -> None:
        if self.away:
            raise StoreUnavailable("the bus does not answer")
        self.messages.append(message)

    def subscribe(
        self, topics: tuple[str, ...], *, on_positioned: Callable[[], None]
    ) -> Iterator[Message]:
        on_positioned()
        yield from [message for message in self.messages if message.topic in topics]


class CountedIds:
    """``ports.runtime.IdSource``: id-1, id-2, …"""

    def __init__(self) -> None:
        self._last = 0

    def new_id(self) -> str:
        self._last += 1
        return f"id-{self._last}"
