"""``ports.turn_sinks.TurnLogSource`` on RabbitMQ: a durable queue of the sink's is the place."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from amqp import Channel, Connection
from amqp import Message as Content

from kotaemon_node.adapters.rabbitmq.address import RabbitmqAddress
from kotaemon_node.adapters.rabbitmq.client import FAILURES, ensure, exchange, lent
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.events import TURN_LOG
from kotaemon_node.domain.limits import TURN_SINK_BATCH_MAX, TURN_SINK_QUEUE_MAX
from kotaemon_node.ports.events import Message

_log = structlog.get_logger(__name__)

_POLL_S: Final = 0.5
_HEARTBEAT_S: Final = 60


class RabbitmqTurnLog:
    """``ports.turn_sinks.TurnLogSource``."""

    def __init__(
        self, address: RabbitmqAddress, *, name: str, wait_s: Callable[[int], float]
    ) -> None:
        """``name`` is that of the place; ``wait_s`` follows from the failures in a row."""
        self._address = address
        self._queue = f"kotaemon.turn_log.{name}"
        self._wait_s = wait_s

    def run(self, take: Callable[[Sequence[Message]], None], stop: threading.Event) -> None:
        """See the port. What was not acknowledged comes again with the next connection."""
        failures = 0

        def taken(messages: Sequence[Message]) -> None:
            nonlocal failures
            take(messages)
            failures = 0

        while not stop.is_set():
            try:
                with lent(self._address, heartbeat=_HEARTBEAT_S) as connection:
                    self._read(connection, taken, stop)
            except (Unavailable, *FAILURES) as error:
                failures += 1
                _log.warning("turn_log_waits", reason=str(error), failures=failures)
                stop.wait(self._wait_s(failures))

    def _read(
        self,
        connection: Connection,
        take: Callable[[Sequence[Message]], None],
        stop: threading.Event,
    ) -> None:
        channel = connection.channel()
        self._bind(channel)
        arrived: deque[Content] = deque()
        channel.basic_qos(0, TURN_SINK_BATCH_MAX, a_global=False)
        channel.basic_consume(self._queue, callback=arrived.append)
        while not stop.is_set():
            connection.heartbeat_tick()
            try:
                connection.drain_events(timeout=_POLL_S if not arrived else 0.01)
                if len(arrived) < TURN_SINK_BATCH_MAX:
                    continue  # what has come already goes in one batch
            except TimeoutError:
                pass
            if arrived:
                take([_message(one) for one in arrived])
                channel.basic_ack(arrived[-1].delivery_tag, multiple=True)
                arrived.clear()

    def _bind(self, channel: Channel) -> None:
        channel.queue_declare(
            self._queue,
            durable=True,
            exclusive=False,
            auto_delete=False,
            arguments={"x-max-length": TURN_SINK_QUEUE_MAX, "x-overflow": "drop-head"},
        )
        ensure(channel, TURN_LOG)
        channel.queue_bind(self._queue, exchange(TURN_LOG))


def _message(content: Content) -> Message:
    headers: dict[str, Any] = content.properties.get("application_headers") or {}
    value = content.body
    raw = value if isinstance(value, bytes) else str(value).encode()
    return Message(TURN_LOG, str(headers.get("key", "")), raw)
