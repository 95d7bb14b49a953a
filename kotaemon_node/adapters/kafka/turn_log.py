"""``ports.turn_sinks.TurnLogSource`` on Kafka: a consumer group keeps the place.

Several processes of one sink share the partitions; entries of one session stay in order.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import structlog
from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import CommitFailedError, RebalanceInProgressError

from kotaemon_node.adapters.kafka import topics
from kotaemon_node.adapters.kafka.address import KafkaAddress
from kotaemon_node.adapters.kafka.client import FAILURES, administrator, opened
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.events import TURN_LOG
from kotaemon_node.domain.limits import TURN_SINK_BATCH_MAX
from kotaemon_node.ports.events import Message

_log = structlog.get_logger(__name__)

_SESSION_MS: Final = 10_000
_HEARTBEAT_MS: Final = 2_000
_POLL_MS: Final = 500

Batch = dict[TopicPartition, list[Any]]


class KafkaTurnLog:
    """``ports.turn_sinks.TurnLogSource``."""

    def __init__(self, address: KafkaAddress, *, name: str, wait_s: Callable[[int], float]) -> None:
        """``name`` is that of the place; ``wait_s`` follows from the failures in a row."""
        self._address = address
        self._group = f"kotaemon.turn_log.{name}"
        self._wait_s = wait_s

    def run(self, take: Callable[[Sequence[Message]], None], stop: threading.Event) -> None:
        """See the port."""
        failures = 0
        while not stop.is_set():
            try:
                with administrator(self._address) as admin:
                    topics.ensure(admin, [TURN_LOG], alone=True)
                with self._consumer() as consumer:
                    failures = 0
                    self._read(consumer, take, stop)
            except FAILURES as error:
                failures += 1
                _log.warning("turn_log_waits", reason=str(error), failures=failures)
                stop.wait(self._wait_s(failures))

    def _read(
        self,
        consumer: KafkaConsumer,
        take: Callable[[Sequence[Message]], None],
        stop: threading.Event,
    ) -> None:
        consumer.subscribe([TURN_LOG])
        failures = 0
        while not stop.is_set():
            batch: Batch = consumer.poll(timeout_ms=_POLL_MS, max_records=TURN_SINK_BATCH_MAX)
            if not any(batch.values()):
                continue
            try:
                take([_message(one) for records in batch.values() for one in records])
            except Unavailable as error:
                failures += 1
                _log.warning("turn_log_waits", reason=str(error), failures=failures)
                _back(consumer, batch)
                # Less than the time for which a member may be silent.
                stop.wait(self._wait_s(failures))
                continue
            failures = 0
            _commit(consumer, batch)

    @contextmanager
    def _consumer(self) -> Iterator[KafkaConsumer]:
        consumer = opened(
            KafkaConsumer,
            self._address,
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            session_timeout_ms=_SESSION_MS,
            heartbeat_interval_ms=_HEARTBEAT_MS,
            max_poll_records=TURN_SINK_BATCH_MAX,
            metrics_enabled=False,
        )
        try:
            yield consumer
        finally:
            consumer.close(autocommit=False, timeout_ms=1_000)


def _back(consumer: KafkaConsumer, batch: Batch) -> None:
    """Have the same messages come again."""
    for partition, records in batch.items():
        if records and partition in consumer.assignment():
            consumer.seek(partition, records[0].offset)


def _commit(consumer: KafkaConsumer, batch: Batch) -> None:
    places = {
        partition: OffsetAndMetadata(records[-1].offset + 1, "", -1)
        for partition, records in batch.items()
        if records and partition in consumer.assignment()
    }
    try:
        consumer.commit(places)
    except (CommitFailedError, RebalanceInProgressError):
        # The group shares its partitions out anew: these come again, and are known.
        _log.info("turn_log_comes_again")


def _message(record: Any) -> Message:
    return Message(TURN_LOG, (record.key or b"").decode("utf-8", "replace"), record.value or b"")
