"""A member of the group of build workers meets what it cannot do, and goes on."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import orjson
import pytest
from kafka import TopicPartition
from kafka.errors import CommitFailedError, RebalanceInProgressError

from kotaemon_node.adapters.kafka.task_group import _Member
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.events import BUILD_TASK, BuildTask

PARTITION = TopicPartition(BUILD_TASK, 0)
TASK = BuildTask("default", "default", "a.md", "0" * 64, 1, "a.source", "a.piece", "hash", "2")


class Consumer:
    """Has one partition, and notes what is committed and where it is put back."""

    def __init__(self) -> None:
        self.committed: list[int] = []
        self.sought: list[int] = []
        self.refusal: Exception | None = None

    def assignment(self) -> set[TopicPartition]:
        return {PARTITION}

    def paused(self) -> set[TopicPartition]:
        return set()

    def pause(self, *partitions: TopicPartition) -> None:
        pass

    def poll(self, **_: object) -> dict[TopicPartition, list[Any]]:
        return {}

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.sought.append(offset)

    def commit(self, places: dict[TopicPartition, Any]) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.committed.append(places[PARTITION].offset)


@pytest.fixture
def hands() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as hands:
        yield hands


class Record:
    """As much of a message as a member looks at."""

    def __init__(self, offset: int, value: bytes) -> None:
        self.offset = offset
        self.value = value


def take(consumer: Consumer, hands: ThreadPoolExecutor, error: Exception | None) -> None:
    def work(task: BuildTask) -> None:
        if error is not None:
            raise error

    stop = threading.Event()
    stop.set()  # it does not wait between attempts then
    member = _Member(consumer, hands, work, stop)
    member._take(PARTITION, Record(7, orjson.dumps(asdict(TASK))))


def test_a_task_that_meets_a_bug_is_not_met_for_ever(hands: ThreadPoolExecutor) -> None:
    consumer = Consumer()
    take(consumer, hands, ValueError("a bug"))
    assert (consumer.committed, consumer.sought) == ([8], [])


def test_a_task_that_could_not_be_done_now_comes_again(hands: ThreadPoolExecutor) -> None:
    consumer = Consumer()
    take(consumer, hands, Unavailable("the store is away"))
    assert (consumer.committed, consumer.sought) == ([], [7])


@pytest.mark.parametrize("refusal", [CommitFailedError("x"), RebalanceInProgressError("x")])
def test_a_group_that_is_shared_out_anew_is_not_left(
    hands: ThreadPoolExecutor, refusal: Exception
) -> None:
    consumer = Consumer()
    consumer.refusal = refusal
    take(consumer, hands, None)
    assert consumer.committed == []
