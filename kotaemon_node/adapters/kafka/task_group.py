"""A build worker's side of build tasks: one consumer group, each partition with one member.

While a task is worked on, the consumer goes on to poll with all its partitions paused: it stays a
member for as long as the work takes, and others may join or leave meanwhile. A place is committed
behind the work, so a member that dies has its task done by another. Work that lost its partition
in between is done twice, which nobody minds.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

import orjson
import structlog
from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import CommitFailedError, RebalanceInProgressError

from kotaemon_node.adapters.kafka import topics
from kotaemon_node.adapters.kafka.address import KafkaAddress
from kotaemon_node.adapters.kafka.client import FAILURES, administrator, opened
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.events import BUILD_TASK, BuildTask

_log = structlog.get_logger(__name__)

GROUP: Final = "kotaemon.build_workers"
# A dead member's tasks go to others after this. More than a hiccup, less than people wait for.
_SESSION_MS: Final = 10_000
_HEARTBEAT_MS: Final = 2_000
_POLL_MS: Final = 200
_AGAIN_S: Final = 1.0


class KafkaTaskGroup:
    """``ports.build_tasks.TaskGroup``."""

    def __init__(self, address: KafkaAddress) -> None:
        self._address = address

    def run(self, work: Callable[[BuildTask], None], stop: threading.Event) -> None:
        """See the port."""
        away = False
        with ThreadPoolExecutor(1, thread_name_prefix="build") as hands:
            while not stop.is_set():
                try:
                    with administrator(self._address) as admin:
                        topics.ensure(admin, [BUILD_TASK])
                    with self._consumer() as consumer:
                        away = False
                        _Member(consumer, hands, work, stop).run()
                except FAILURES as error:
                    if not away:
                        _log.warning("build_tasks_unreachable", error=str(error))
                    away = True
                    stop.wait(_AGAIN_S)

    @contextmanager
    def _consumer(self) -> Any:
        consumer = opened(
            KafkaConsumer,
            self._address,
            group_id=GROUP,
            enable_auto_commit=False,
            # Tasks that nobody has done yet are work, however old.
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
            session_timeout_ms=_SESSION_MS,
            heartbeat_interval_ms=_HEARTBEAT_MS,
            max_poll_records=1,
            metrics_enabled=False,
        )
        try:
            yield consumer
        finally:
            consumer.close(autocommit=False, timeout_ms=1_000)


class _Member:
    """One membership."""

    def __init__(
        self,
        consumer: KafkaConsumer,
        hands: ThreadPoolExecutor,
        work: Callable[[BuildTask], None],
        stop: threading.Event,
    ) -> None:
        self._consumer = consumer
        self._hands = hands
        self._work = work
        self._stop = stop
        self._busy = False

    def run(self) -> None:
        """Work until the stop. Raises one of ``FAILURES``."""
        self._consumer.subscribe([BUILD_TASK], listener=_Pausing(self))
        while not self._stop.is_set():
            for partition, records in self._poll().items():
                for record in records:
                    self._take(partition, record)

    def assigned(self, partitions: set[TopicPartition]) -> None:
        """Note partitions that are new here: nothing is fetched of them while we work."""
        if self._busy and partitions:
            self._consumer.pause(*partitions)

    def _poll(self) -> dict[TopicPartition, list[Any]]:
        found: dict[TopicPartition, list[Any]] = self._consumer.poll(
            timeout_ms=_POLL_MS, max_records=1
        )
        return found

    def _take(self, partition: TopicPartition, record: Any) -> None:
        task = _task(record.value)
        if task is not None and not self._done(self._hands.submit(self._work, task)):
            if partition in self._consumer.assignment():
                self._consumer.seek(partition, record.offset)
            self._stop.wait(_AGAIN_S)
            return
        if partition in self._consumer.assignment():
            place = OffsetAndMetadata(record.offset + 1, "", -1)
            try:
                self._consumer.commit({partition: place})
            except (CommitFailedError, RebalanceInProgressError):
                # The group shares its partitions out anew. To leave it would begin that again;
                # the task comes once more, and its piece is there.
                _log.info("build_task_comes_again", document=task.document if task else "")

    def _done(self, working: "Future[None]") -> bool:
        """Stay a member while the work goes on; return whether it was done."""
        self._busy = True
        try:
            if assigned := self._consumer.assignment():
                self._consumer.pause(*assigned)
            while not working.done():
                # Fetched before the pause, perhaps: it comes again.
                for partition, records in self._poll().items():
                    self._consumer.seek(partition, records[0].offset)
            try:
                working.result()
            except (Unavailable, OSError) as error:
                _log.warning("build_task_put_off", error=str(error))
                return False
            except Exception:  # noqa: BLE001 - it must not come for ever, nor end the member
                _log.exception("build_task_failed")
        finally:
            self._busy = False
            if paused := self._consumer.paused():
                self._consumer.resume(*paused)
        return True


class _Pausing(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    def __init__(self, member: _Member) -> None:
        self._member = member

    def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Nothing: work that goes on is safe to be repeated by another."""

    def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Keep what is new still while there is work."""
        self._member.assigned(assigned)


def _task(value: bytes | None) -> BuildTask | None:
    """Return the task that a message says; None for one that nobody of us has written."""
    try:
        said = orjson.loads(value or b"")
        return BuildTask(**{name: said[name] for name in BuildTask.__slots__})
    except (ValueError, KeyError, TypeError) as error:
        _log.warning("build_task_unreadable", error=str(error))
        return None
