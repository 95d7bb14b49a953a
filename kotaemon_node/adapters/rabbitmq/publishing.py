"""Sends messages and waits for their confirmation, but never long for a server that is away.

After a failure one caller at a time tries again, a second later at the earliest; everybody else is
refused at once. So a dead server costs a pod one waiting task, whatever its load.
"""

import threading
from typing import Final

import structlog
from amqp import Channel, Connection
from amqp import Message as Content
from amqp.exceptions import MessageNacked

from kotaemon_node.adapters.rabbitmq.address import RabbitmqAddress
from kotaemon_node.adapters.rabbitmq.client import (
    FAILURES,
    REPLY_TIMEOUT_S,
    dropped,
    ensure,
    exchange,
    opened,
)
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.ports.events import Message
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

_REST_S: Final = 1.0
_TRANSIENT: Final = 1


class Publisher:
    """One connection, made at the first message, on which one message at a time goes out."""

    def __init__(self, address: RabbitmqAddress, *, clock: Clock) -> None:
        self._address = address
        self._clock = clock
        self._connection: Connection | None = None
        self._channel: Channel | None = None
        self._ensured: set[str] = set()
        self._room = threading.BoundedSemaphore(limits.BUS_UNACKNOWLEDGED_MAX)
        # py-amqp's connections belong to one task at a time.
        self._turn = threading.Lock()
        self._away = False
        self._rest_until_s = 0.0

    def publish(self, message: Message) -> None:
        """Return when the server has the message. Raises ``Unavailable``."""
        if not self._room.acquire(blocking=False):
            raise Unavailable("too many events wait for the bus")
        try:
            if not self._turn.acquire(timeout=0 if self._away else REPLY_TIMEOUT_S):
                raise Unavailable("the bus does not take events now")
            try:
                self._publish(message)
            finally:
                self._turn.release()
        finally:
            self._room.release()

    def close(self) -> None:
        """Give up the connection; what was not confirmed may be lost, and its caller is told."""
        with self._turn:
            self._drop()

    def _publish(self, message: Message) -> None:
        if self._away and self._clock.monotonic_s() < self._rest_until_s:
            raise Unavailable("the bus does not take events now")
        kept = self._connection is not None
        try:
            try:
                self._send(message)
            except (MessageNacked, TimeoutError):
                raise
            except FAILURES:
                # A server that was restarted meanwhile is noticed only now.
                if not kept:
                    raise
                self._drop()
                self._send(message)
        except FAILURES as error:
            self._failed(error)
            raise Unavailable("the bus does not take events") from error
        if self._away:
            self._away = False
            _log.info("bus_takes_events_again")

    def _send(self, message: Message) -> None:
        """Send it and wait for the confirmation. Raises one of ``FAILURES``."""
        if self._connection is None or self._channel is None:
            # No heartbeats, which somebody would have to send: who is dead shows at a message.
            self._connection = opened(self._address, heartbeat=0, confirm_publish=True)
            self._channel = self._connection.channel()
        if message.topic not in self._ensured:
            ensure(self._channel, message.topic)
            self._ensured.add(message.topic)
        self._channel.basic_publish(
            Content(
                message.value,
                # A routing key has no room for the longest of ours.
                application_headers={"key": message.key},
                content_type="application/json",
                # No queue outlives the server, so nothing is gained by its disk.
                delivery_mode=_TRANSIENT,
            ),
            exchange=exchange(message.topic),
            timeout=REPLY_TIMEOUT_S,
            confirm_timeout=REPLY_TIMEOUT_S,
        )

    def _failed(self, error: Exception) -> None:
        self._drop()
        if not self._away:
            _log.warning("bus_takes_no_events", error=str(error))
        self._away = True
        self._rest_until_s = self._clock.monotonic_s() + _REST_S

    def _drop(self) -> None:
        if self._connection is not None:
            dropped(self._connection)
        self._connection = self._channel = None
        # The server may come back empty.
        self._ensured.clear()
