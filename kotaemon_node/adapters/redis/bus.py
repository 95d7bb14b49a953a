"""The bus on Redis Streams: every pod reads every entry from the place it noted; no group.

A stream keeps the newest ``BUS_STREAM_LENGTH_MAX`` entries. A reader that fell behind them, or
whose Redis was emptied, is told to read the truth again.
"""

from collections.abc import Callable, Generator, Iterator
from typing import Any

import structlog
from redis.exceptions import RedisError

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.store_errors import store_errors
from kotaemon_node.domain import limits
from kotaemon_node.ports.events import Message
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

_BLOCK_MS = 1_000
_RECONNECT_S = 0.5

Positions = dict[str, str]


class RedisStreamsBus:
    """``ports.events.Bus``."""

    def __init__(
        self, store: RedisStore, *, clock: Clock, waiting: RedisStore | None = None
    ) -> None:
        """``waiting``: connections for reading, which holds one for a second at a time."""
        self._store = store
        self._waiting = waiting or store
        self._clock = clock

    def publish(self, message: Message) -> None:
        """See the port."""
        with store_errors():
            self._store.client.xadd(
                keys.bus(message.topic),
                {"k": message.key, "v": message.value},
                maxlen=limits.BUS_STREAM_LENGTH_MAX,
                approximate=True,
            )

    def subscribe(
        self, topics: tuple[str, ...], *, on_positioned: Callable[[], None]
    ) -> Iterator[Message]:
        """See the port."""
        positions: Positions = {}
        while True:
            try:
                if not positions:
                    positions = self._ends(topics)
                    on_positioned()
                read = yield from self._read(positions)
                # The client reconnects by itself, so a Redis that came back empty shows only here.
                if not read and not self._still_there(positions):
                    positions = {}
            except RedisError as error:
                _log.warning("bus_unreachable", error=str(error))
                self._clock.sleep(_RECONNECT_S)
                if not self._still_there(positions):
                    positions = {}

    def _ends(self, topics: tuple[str, ...]) -> Positions:
        return {topic: self._end(topic) for topic in topics}

    def _end(self, topic: str) -> str:
        newest = self._waiting.client.xrevrange(keys.bus(topic), count=1)
        return newest[0][0].decode() if newest else "0-0"

    def _read(self, positions: Positions) -> Generator[Message, None, int]:
        """Yield what comes after ``positions``, moving them; return how many.

        Raises ``RedisError``.
        """
        read = 0
        streams: dict[Any, Any] = {keys.bus(topic): at for topic, at in positions.items()}
        reply: Any = self._waiting.client.xread(streams, count=limits.BUS_READ_MAX, block=_BLOCK_MS)
        for name, entries in reply or ():
            topic = name.decode().removeprefix(keys.bus(""))
            for entry_id, fields in entries:
                positions[topic] = entry_id.decode()
                read += 1
                sent_at_s = _order(positions[topic])[0] / 1000
                yield Message(topic, fields[b"k"].decode(), fields[b"v"], sent_at_s)
        return read

    def _still_there(self, positions: Positions) -> bool:
        """Tell whether each stream still reaches back to our place and has not begun anew."""
        try:
            for topic, at in positions.items():
                oldest = self._waiting.client.xrange(keys.bus(topic), count=1)
                behind = bool(oldest) and _order(oldest[0][0].decode()) > _order(at)
                if behind or _order(self._end(topic)) < _order(at):
                    return False
        except RedisError:
            # Nothing is known until it answers; the loop comes back here.
            return bool(positions)
        return True


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number)
