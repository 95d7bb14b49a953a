"""The log of turns is read from each kind of bus at least once, from the place that was noted."""

import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from kotaemon_node.adapters.kafka import KafkaBus, KafkaTurnLog
from kotaemon_node.adapters.rabbitmq import RabbitmqBus, RabbitmqTurnLog
from kotaemon_node.adapters.redis import RedisStreamsBus, RedisTurnLog, connect, keys
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.events import TURN_LOG
from kotaemon_node.ports.events import Bus, Message
from kotaemon_node.ports.turn_sinks import TurnLogSource

CLOCK = SystemClock()
PATIENCE_S = 60.0


@dataclass
class Kind:
    """A bus, and what begins to read its log as a process of one name does."""

    bus: Bus
    source: Callable[[], TurnLogSource]


@pytest.fixture(params=["redis", "kafka", "rabbitmq"])
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    # A place of its own for each test: a broker serves them all.
    more: dict[str, Any] = {"name": f"s{uuid.uuid4().hex[:8]}", "wait_s": lambda failures: 0.05}
    bus: Any
    if request.param == "redis":
        server = request.getfixturevalue("redis_server")
        server.wipe()
        bus = RedisStreamsBus(connect(server.url), clock=CLOCK)
        found = Kind(bus, lambda: RedisTurnLog(connect(server.url), **more))
    elif request.param == "kafka":
        address = request.getfixturevalue("kafka_broker").address
        bus = KafkaBus(address, clock=CLOCK)
        found = Kind(bus, lambda: KafkaTurnLog(address, **more))
    else:
        address = request.getfixturevalue("rabbitmq_server").address
        bus = RabbitmqBus(address, clock=CLOCK)
        found = Kind(bus, lambda: RabbitmqTurnLog(address, **more))
        Reading(found).stop()  # its queue keeps what is published from now on
    yield found
    if request.param != "redis":
        bus.close()


class Reading:
    """A process that reads; ``refuse`` makes it fail at batches while it is true."""

    def __init__(self, kind: Kind) -> None:
        self.came: list[str] = []
        self.refuse = False
        self.refused = 0
        self._stop = threading.Event()
        self._begun = threading.Event()
        self._thread = threading.Thread(target=kind.source().run, args=(self.take, self._stop))
        self._thread.start()

    def take(self, messages: Sequence[Message]) -> None:
        if self.refuse:
            self.refused += 1
            raise Unavailable("the sink is away")
        self.came += [one.value.decode() for one in messages]

    def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(int(PATIENCE_S / 0.05)):
            if condition():
                return
            threading.Event().wait(0.05)
        raise AssertionError(f"it never came to that: {self.came[-3:]}")

    def stop(self) -> None:
        threading.Event().wait(0.5)
        self._stop.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


def test_a_reader_goes_on_where_the_one_before_ended_and_a_sink_that_is_away_loses_nothing(
    kind: Kind,
) -> None:
    mark = uuid.uuid4().hex

    def publish(first: int, last: int) -> list[str]:
        values = [f"{mark} {number}" for number in range(first, last)]
        for value in values:
            kind.bus.publish(Message(TURN_LOG, "s1", value.encode()))
        return values

    def mine(reading: Reading) -> list[str]:
        return [one for one in reading.came if one.startswith(mark)]

    early = publish(0, 5)
    one = Reading(kind)
    one.until(lambda: mine(one) == early)  # also what was there before it
    one.refuse = True
    late = publish(5, 12)
    one.until(lambda: one.refused >= 2)
    one.refuse = False
    one.until(lambda: mine(one) == [*early, *late])
    one.stop()

    while_away = publish(12, 20)
    other = Reading(kind)
    other.until(lambda: mine(other)[-8:] == while_away)
    other.stop()
    assert len(mine(other)) <= len(while_away) + len(late)  # a batch may come again, no more


def test_on_redis_what_was_read_and_not_kept_comes_again_and_a_store_that_forgot_begins_anew(
    redis_server: Any,
) -> None:
    redis_server.wipe()
    store = connect(redis_server.url)
    bus = RedisStreamsBus(store, clock=CLOCK)
    kind = Kind(bus, lambda: RedisTurnLog(store, name="file", wait_s=lambda failures: 0.05))
    one = Reading(kind)
    one.refuse = True
    bus.publish(Message(TURN_LOG, "s1", b"first"))
    one.until(lambda: one.refused >= 1)
    one.stop()  # as if it had died in the middle: nothing was acknowledged
    other = Reading(kind)
    other.until(lambda: other.came == ["first"])
    store.client.delete(keys.bus(TURN_LOG))
    bus.publish(Message(TURN_LOG, "s1", b"second"))
    other.until(lambda: other.came == ["first", "second"])
    other.stop()
    [group] = store.client.xinfo_groups(keys.bus(TURN_LOG))  # type: ignore[misc]
    assert group["pending"] == 0
