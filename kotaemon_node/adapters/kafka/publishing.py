"""Sends messages and waits for their acknowledgement, but never long for a broker that is away.

After a failure one caller at a time tries again, a second later at the earliest; everybody else is
refused at once. So a dead broker costs a pod one waiting task, whatever its load.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from kafka import KafkaProducer
from kafka.errors import KafkaTimeoutError

from kotaemon_node.adapters.kafka import topics
from kotaemon_node.adapters.kafka.address import REQUEST_TIMEOUT_MS, KafkaAddress
from kotaemon_node.adapters.kafka.client import FAILURES, administrator, opened
from kotaemon_node.adapters.kafka.handshake import tls_problem
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.ports.events import Message
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

_REST_S: Final = 1.0
_METADATA_MAX_MS: Final = 1_000


class Publisher:
    """A producer that is made at the first message. Thread safe."""

    def __init__(self, address: KafkaAddress, *, clock: Clock) -> None:
        self._address = address
        self._clock = clock
        self._producer: KafkaProducer | None = None
        self._password = ""
        self._ensured: set[str] = set()
        self._opening = threading.Lock()
        # The producer's own buffer has no bound: how many wait here is the bound.
        self._room = threading.BoundedSemaphore(limits.BUS_UNACKNOWLEDGED_MAX)
        self._gate = threading.Lock()
        self._away = False
        self._trying = False
        self._rest_until_s = 0.0

    def publish(self, message: Message) -> None:
        """Return when the broker has the message. Raises ``Unavailable``."""
        if not self._room.acquire(blocking=False):
            raise Unavailable("too many events wait for the bus")
        try:
            with self._attempt() as for_all:
                self._ready(message.topic, for_all=for_all).send(
                    message.topic, key=message.key.encode(), value=message.value
                ).get(timeout=REQUEST_TIMEOUT_MS / 1000)
        finally:
            self._room.release()

    def close(self) -> None:
        """End the producer; what was not acknowledged may be lost, and its caller is told."""
        if self._producer is not None:
            self._producer.close(timeout=0)

    @contextmanager
    def _attempt(self) -> Iterator[bool]:
        """Lend the right to try; whether it is the one try of all."""
        for_all = self._admitted()
        try:
            yield for_all
        except FAILURES as error:
            self._failed(error)
            raise Unavailable("the bus does not take events") from error
        else:
            self._succeeded()
        finally:
            if for_all:
                self._trying = False

    def _admitted(self) -> bool:
        """Return whether this caller tries for all. Raises ``Unavailable`` for the others."""
        with self._gate:
            if not self._away:
                return False
            if self._trying or self._clock.monotonic_s() < self._rest_until_s:
                raise Unavailable("the bus does not take events now")
            self._trying = True
            return True

    def _failed(self, error: Exception) -> None:
        hint = "" if self._away else tls_problem(self._address)
        with self._gate:
            if not self._away:
                _log.warning("bus_takes_no_events", error=str(error), hint=hint)
            self._away = True
            self._rest_until_s = self._clock.monotonic_s() + _REST_S
            # The topic may be gone, and will be made again.
            self._ensured.clear()

    def _succeeded(self) -> None:
        if self._away:
            with self._gate:
                self._away = False
            _log.info("bus_takes_events_again")

    def _ready(self, topic: str, *, for_all: bool) -> KafkaProducer:
        """Return the producer, once its topic exists. Raises one of ``FAILURES``."""
        producer = self._producer
        if producer is not None and topic in self._ensured:
            return producer
        if not self._opening.acquire(timeout=REQUEST_TIMEOUT_MS / 1000):
            raise KafkaTimeoutError("another task still connects")
        try:
            if self._away and not for_all:
                raise KafkaTimeoutError("the broker did not answer somebody else")
            self._forget_old_password()
            if self._producer is None:
                self._producer = self._opened()
            if topic not in self._ensured:
                with administrator(self._address) as admin:
                    topics.ensure(admin, [topic])
                self._ensured.add(topic)
            return self._producer
        finally:
            self._opening.release()

    def _forget_old_password(self) -> None:
        """End a producer whose connections would come with a password that was exchanged."""
        password = self._address.current_password()
        if self._producer is not None and password != self._password:
            self._producer.close(timeout=0)
            self._producer = None
        self._password = password

    def _opened(self) -> KafkaProducer:
        return opened(
            KafkaProducer,
            self._address,
            acks="all",
            # At least once is what the port asks for; a sequence would have to survive a broker
            # that came back empty. One request at a time keeps the order through retries.
            enable_idempotence=False,
            max_in_flight_requests_per_connection=1,
            delivery_timeout_ms=REQUEST_TIMEOUT_MS,
            max_block_ms=_METADATA_MAX_MS,
            # A topic made by accident would not be compacted.
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )
