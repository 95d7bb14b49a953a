"""Reads topics through a queue of our own, which lives as long as our connection.

A queue keeps the newest ``BUS_STREAM_LENGTH_MAX`` messages that wait; what is dropped at its head
goes to a second queue of ours that holds one message: whatever comes from there says that something
was missed. Nothing outlives a connection, so each new one is a gap.
"""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, Final

import structlog
from amqp import Channel, Connection
from amqp import Message as Content

from kotaemon_node.adapters.rabbitmq.address import RabbitmqAddress
from kotaemon_node.adapters.rabbitmq.client import FAILURES, ensure, exchange, lent, topic_of
from kotaemon_node.domain import limits
from kotaemon_node.ports.events import Message
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

_POLL_S: Final = 1.0
_AGAIN_S: Final = 0.5
_HEARTBEAT_S: Final = 20


class Reading:
    """One subscription."""

    def __init__(
        self,
        address: RabbitmqAddress,
        topics: Sequence[str],
        *,
        on_positioned: Callable[[], None],
        clock: Clock,
        length_max: int = limits.BUS_STREAM_LENGTH_MAX,
    ) -> None:
        self._address = address
        self._topics = topics
        self._on_positioned = on_positioned
        self._clock = clock
        self._length_max = length_max
        self._away = False

    def messages(self) -> Generator[Message, None, None]:
        """Yield messages for ever."""
        while True:
            try:
                with lent(self._address, heartbeat=_HEARTBEAT_S) as connection:
                    yield from self._read(connection)
            except FAILURES as error:
                if not self._away:
                    _log.warning("bus_unreachable", error=str(error))
                self._away = True
                self._clock.sleep(_AGAIN_S)

    def _read(self, connection: Connection) -> Generator[Message, None, None]:
        """Yield what comes through a new queue. Raises one of ``FAILURES``."""
        channel = connection.channel()
        missed, queue = self._bound(channel)
        if self._away:
            _log.info("bus_reached_again")
        self._away = False
        self._on_positioned()
        arrived: deque[Content] = deque()
        channel.basic_qos(0, limits.BUS_READ_MAX, a_global=False)
        missed_tag = channel.basic_consume(missed, callback=arrived.append)
        channel.basic_consume(queue, callback=arrived.append)
        while True:
            connection.heartbeat_tick()
            _await_one(connection, arrived)
            while arrived:
                content = arrived.popleft()
                # Before it is handled: what the handler fails at is not told again either.
                channel.basic_ack(content.delivery_tag)
                if content.delivery_info["consumer_tag"] == missed_tag:
                    _log.warning("bus_queue_overflowed")
                    self._on_positioned()
                else:
                    yield _message(content)

    def _bound(self, channel: Channel) -> tuple[str, str]:
        """Make our two queues; return (of what was dropped, of the topics)."""
        missed = channel.queue_declare(
            exclusive=True, auto_delete=True, arguments={"x-max-length": 1}
        ).queue
        queue = channel.queue_declare(
            exclusive=True,
            auto_delete=True,
            arguments={
                "x-max-length": self._length_max,
                "x-overflow": "drop-head",
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": missed,
            },
        ).queue
        for topic in self._topics:
            ensure(channel, topic)
            channel.queue_bind(queue, exchange(topic))
        return missed, queue


def _await_one(connection: Connection, arrived: deque[Content]) -> None:
    """Return when something arrived, or soon, to keep the connection alive."""
    if arrived:
        return
    try:
        connection.drain_events(timeout=_POLL_S)
    except TimeoutError:
        return


def _message(content: Content) -> Message:
    """Return a message, whatever somebody wrote: the handler tells what is poison."""
    headers: dict[str, Any] = content.properties.get("application_headers") or {}
    value = content.body
    return Message(
        topic=topic_of(content.delivery_info["exchange"]),
        key=str(headers.get("key", content.delivery_info["routing_key"])),
        value=value if isinstance(value, bytes) else str(value).encode(),
    )
