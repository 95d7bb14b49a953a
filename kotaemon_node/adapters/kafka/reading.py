"""Reads topics from a place of our own: no group, so every pod reads every message.

The place is an offset for each partition, and the shape that the topics had when it was noted. It
is kept over lost connections, and noted anew, at the ends, where it means nothing any more: a topic
was made again or has more partitions, or the broker no longer has what lies behind our offset.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, LogTruncationError, OffsetOutOfRangeError

from kotaemon_node.adapters.kafka import topics as made
from kotaemon_node.adapters.kafka.address import REQUEST_TIMEOUT_MS, KafkaAddress
from kotaemon_node.adapters.kafka.client import FAILURES, administrator, opened
from kotaemon_node.adapters.kafka.handshake import tls_problem
from kotaemon_node.domain import limits
from kotaemon_node.ports.events import Message
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

_POLL_MS: Final = 1_000
_AGAIN_S: Final = 0.5
_LOOK_S: Final = 5.0
"""How often the topics are compared with what they were."""
_FETCH_BYTES_MAX: Final = 4 * 1024 * 1024
_PARTITION_BYTES_MAX: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where we are."""

    shape: made.Shape
    offsets: dict[TopicPartition, int]
    """Of the next message. Moves on as messages are handed out."""


class Reading:
    """One subscription."""

    def __init__(
        self,
        address: KafkaAddress,
        topics: Sequence[str],
        *,
        on_positioned: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._address = address
        self._topics = topics
        self._on_positioned = on_positioned
        self._clock = clock
        self._place: Place | None = None
        self._away = False

    def messages(self) -> Generator[Message, None, None]:
        """Yield messages for ever."""
        while True:
            try:
                with administrator(self._address) as admin, self._consumer() as consumer:
                    place = self._settled(admin, consumer)
                    yield from self._read(admin, consumer, place)
            except FAILURES as error:
                self._note(error)
                self._clock.sleep(_AGAIN_S)

    def _note(self, error: Exception) -> None:
        lost = isinstance(error, (OffsetOutOfRangeError, LogTruncationError))
        # What does not pass by itself, as a record that cannot be read, is stepped over.
        if lost or (isinstance(error, KafkaError) and not error.retriable):
            self._place = None
        if not self._away:
            _log.warning("bus_unreachable", error=str(error), hint=tls_problem(self._address))
        self._away = True

    @contextmanager
    def _consumer(self) -> Iterator[KafkaConsumer]:
        consumer = opened(
            KafkaConsumer,
            self._address,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            allow_auto_create_topics=False,
            fetch_max_bytes=_FETCH_BYTES_MAX,
            max_partition_fetch_bytes=_PARTITION_BYTES_MAX,
            metrics_enabled=False,
        )
        try:
            yield consumer
        finally:
            consumer.close(autocommit=False, timeout_ms=0)

    def _settled(self, admin: KafkaAdminClient, consumer: KafkaConsumer) -> Place:
        """Point the consumer to our place; note the ends, and say so, where there is none."""
        made.ensure(admin, self._topics)
        shape = made.shape(admin, self._topics)
        partitions = [
            TopicPartition(topic, number)
            for topic, (_, count) in shape.items()
            for number in range(count)
        ]
        ends = consumer.end_offsets(partitions, timeout_ms=REQUEST_TIMEOUT_MS)
        begins = consumer.beginning_offsets(partitions, timeout_ms=REQUEST_TIMEOUT_MS)
        kept = self._place
        if kept is not None and kept.shape == shape:
            in_reach = all(begins[at] <= kept.offsets[at] <= ends[at] for at in partitions)
        else:
            in_reach = False
        place = kept if kept is not None and in_reach else Place(shape, dict(ends))
        consumer.assign(partitions)
        for partition, offset in place.offsets.items():
            consumer.seek(partition, offset)
        if self._away:
            _log.info("bus_reached_again", place_kept=in_reach)
        self._away = False
        if not in_reach:
            self._on_positioned()
        # Only now: had the caller failed to read the truth, it would have to be told again.
        self._place = place
        return place

    def _read(
        self, admin: KafkaAdminClient, consumer: KafkaConsumer, place: Place
    ) -> Generator[Message, None, None]:
        """Yield messages and move the place; return when the topics are not what they were."""
        looked_s = self._clock.monotonic_s()
        while True:
            batches = consumer.poll(timeout_ms=_POLL_MS, max_records=limits.BUS_READ_MAX)
            for partition, records in batches.items():
                for record in records:
                    place.offsets[partition] = record.offset + 1
                    yield _message(partition.topic, record.key, record.value, record.timestamp)
            if self._clock.monotonic_s() - looked_s >= _LOOK_S:
                if made.shape(admin, self._topics) != place.shape:
                    return
                looked_s = self._clock.monotonic_s()


def _message(topic: str, key: bytes | None, value: bytes | None, sent_ms: int) -> Message:
    """Return a record as a message, whatever somebody wrote: the handler tells what is poison."""
    sent_at_s = sent_ms / 1000 if sent_ms > 0 else None
    return Message(topic, (key or b"").decode("utf-8", "replace"), value or b"", sent_at_s)
