"""``ports.turn_sinks.TurnLogSource`` on Redis Streams: a consumer group keeps the place.

What was read and not acknowledged is read again first, so nothing is between two places. The
stream has the newest ``BUS_STREAM_LENGTH_MAX`` entries; whoever is away for longer misses the rest,
and the log says so.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from redis.exceptions import RedisError, ResponseError

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.events import TURN_LOG
from kotaemon_node.domain.limits import TURN_SINK_BATCH_MAX
from kotaemon_node.ports.events import Message

_log = structlog.get_logger(__name__)

_BLOCK_MS: Final = 1_000
_READER: Final = "sink"
"""One name for all processes of a sink: a new one goes on with what the one before had read."""


class RedisTurnLog:
    """``ports.turn_sinks.TurnLogSource``."""

    def __init__(self, store: RedisStore, *, name: str, wait_s: Callable[[int], float]) -> None:
        """``name`` is that of the place; ``wait_s`` follows from the failures in a row."""
        self._store = store
        self._group = f"turn_log.{name}"
        self._wait_s = wait_s

    def run(self, take: Callable[[Sequence[Message]], None], stop: threading.Event) -> None:
        """See the port."""
        failures, begun = 0, False
        while not stop.is_set():
            try:
                if not begun:
                    self._begin()
                    begun = True
                self._step(take)
                failures = 0
            except (Unavailable, RedisError, OSError) as error:
                # A Redis that came back empty has no group.
                begun = begun and not isinstance(error, ResponseError)
                failures += 1
                _log.warning("turn_log_waits", reason=str(error), failures=failures)
                stop.wait(self._wait_s(failures))

    def _begin(self) -> None:
        stream, client = keys.bus(TURN_LOG), self._store.client
        try:
            client.xgroup_create(stream, self._group, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
        groups: Any = client.xinfo_groups(stream)
        [mine] = [one for one in groups if one["name"].decode() == self._group]
        place = mine["last-delivered-id"]
        oldest: Any = client.xrange(stream, count=1)
        if oldest and place != b"0-0" and _order(oldest[0][0]) > _order(place):
            _log.error("turn_log_entries_missed", place=place.decode())

    def _step(self, take: Callable[[Sequence[Message]], None]) -> None:
        """Give one batch: what was not acknowledged, else what is new."""
        entries = self._read("0") or self._read(">")
        if not entries:
            return
        # One that was dropped meanwhile has no fields any more.
        kept = [fields for _, fields in entries if fields]
        if len(kept) < len(entries):
            _log.error("turn_log_entries_missed", count=len(entries) - len(kept))
        take([Message(TURN_LOG, one[b"k"].decode(), one[b"v"]) for one in kept])
        self._store.client.xack(keys.bus(TURN_LOG), self._group, *[name for name, _ in entries])

    def _read(self, place: str) -> Sequence[tuple[bytes, dict[bytes, bytes]]]:
        reply: Any = self._store.client.xreadgroup(
            self._group,
            _READER,
            {keys.bus(TURN_LOG): place},
            count=TURN_SINK_BATCH_MAX,
            block=_BLOCK_MS if place == ">" else None,
        )
        return reply[0][1] if reply else ()


def _order(entry_id: bytes) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition(b"-")
    return int(milliseconds), int(number)
