"""Build tasks on a real Kafka: each goes to one worker, and to another where that one dies."""

import dataclasses
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from kotaemon_node.adapters.kafka import (
    KafkaAddress,
    KafkaBus,
    KafkaTaskGroup,
    KafkaTaskOffers,
    task_group,
    task_offers,
)
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.events import BuildTask
from tests.kafka_broker import KafkaBroker

PATIENCE_S = 90.0
TASK = BuildTask("default", "kb", "a.md", "0" * 64, 1, "source", "piece", "encoder", "1")
# A worker that begins whatever it is given and never ends it.
VICTIM = """
import sys, threading
from kotaemon_node.adapters.kafka import KafkaAddress, KafkaTaskGroup, task_group
task_group._SESSION_MS = 6_000

def work(task):
    print(task.document, flush=True)
    threading.Event().wait()

KafkaTaskGroup(KafkaAddress((sys.argv[1],))).run(work, threading.Event())
"""


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.02)


class Worker:
    """A member of the group in a thread."""

    def __init__(self, address: KafkaAddress) -> None:
        self.done: list[str] = []
        self.refuse = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=KafkaTaskGroup(address).run, args=(self._work, self._stop), daemon=True
        )
        self._thread.start()

    def _work(self, task: BuildTask) -> None:
        if self.refuse:
            self.refuse -= 1
            raise Unavailable("not now")
        self.done.append(task.document)

    def end(self) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


@pytest.fixture
def offers(kafka_broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch) -> Iterator[KafkaTaskOffers]:
    monkeypatch.setattr(task_group, "_SESSION_MS", 6_000)
    monkeypatch.setattr(task_group, "_AGAIN_S", 0.1)
    monkeypatch.setattr(task_offers, "_LOOK_S", 0.2)
    bus = KafkaBus(kafka_broker.address, clock=SystemClock())
    offers = KafkaTaskOffers(kafka_broker.address, bus)
    offers.start()
    yield offers
    offers.close()
    bus.close()


def offer(offers: KafkaTaskOffers, documents: list[str]) -> None:
    for document in documents:
        offers.offer(dataclasses.replace(TASK, document=document))


def test_tasks_are_shared_by_workers_and_survive_one_that_is_killed(
    kafka_broker: KafkaBroker, offers: KafkaTaskOffers
) -> None:
    address = kafka_broker.address
    first = Worker(address)
    until(lambda: offers.workers() == 1, "the first member")
    second = Worker(address)
    until(lambda: offers.workers() == 2, "the second member")
    names = [f"{number}.md" for number in range(24)]
    offer(offers, names)
    until(lambda: {*first.done, *second.done} == set(names), "all are done")
    assert first.done
    assert second.done
    second.end()
    until(lambda: offers.workers() == 1, "one that leaves")

    command = [sys.executable, "-c", VICTIM, address.servers[0]]
    victim = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        until(lambda: offers.workers() == 2, "the victim")
        again = [f"again-{number}.md" for number in range(24)]
        first.refuse = 1
        offer(offers, again)
        assert victim.stdout is not None
        begun = victim.stdout.readline().decode().strip()
        assert begun in again
    finally:
        victim.kill()
        victim.wait()
    until(lambda: set(again) <= set(first.done), "the tasks of the dead one")
    assert begun in first.done
    first.end()
