"""What only RabbitMQ does: queues that overflow or are taken away, a server that hangs."""

import signal
import threading
import time
from collections.abc import Callable, Iterator

import amqp
import pytest

from kotaemon_node.adapters.rabbitmq import RabbitmqBus
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.events import KNOWLEDGE_UPDATED, SESSION_UPDATED
from kotaemon_node.ports.events import Message
from tests.rabbitmq_server import RabbitmqServer

CLOCK = SystemClock()
PATIENCE_S = 60.0
LENGTH_MAX = 10


def numbered(number: int) -> Message:
    return Message(SESSION_UPDATED, "s1", b"%d" % number)


@pytest.fixture
def bus(rabbitmq_server: RabbitmqServer) -> Iterator[RabbitmqBus]:
    bus = RabbitmqBus(rabbitmq_server.address, clock=CLOCK, length_max=LENGTH_MAX)
    yield bus
    bus.close()


class Gate:
    """Reads in a thread and stands still at a message until it is let go."""

    def __init__(self, bus: RabbitmqBus, *, last: Message) -> None:
        self.arrived, self.go = threading.Event(), threading.Event()
        self.positioned: list[int] = []
        """How many messages were read when it was told to read the truth."""
        self.read: list[Message] = []
        self._bus, self._last = bus, last
        self._begun = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self._begun.wait(PATIENCE_S)

    def _run(self) -> None:
        reading = self._bus.subscribe((SESSION_UPDATED,), on_positioned=self._note)
        for message in reading:
            self.read.append(message)
            self.arrived.set()
            assert self.go.wait(PATIENCE_S)
            if message == self._last and len(self.positioned) > 1:
                return

    def _note(self) -> None:
        self.positioned.append(len(self.read))
        self._begun.set()


def test_a_reader_too_slow_for_its_queue_is_told_to_read_the_truth_again(
    bus: RabbitmqBus,
) -> None:
    # Beside what waits in the queue, a number of messages is on its way to the reader.
    count = limits.BUS_READ_MAX + 4 * LENGTH_MAX
    reader = Gate(bus, last=numbered(count))
    bus.publish(numbered(0))
    assert reader.arrived.wait(PATIENCE_S)

    for number in range(1, count + 1):
        bus.publish(numbered(number))
    assert len(reader.positioned) == 1
    reader.go.set()
    # Until it is told; a message more, in case the last of them came before.
    deadline = time.monotonic() + PATIENCE_S
    while reader.thread.is_alive() and time.monotonic() < deadline:
        bus.publish(numbered(count))
        reader.thread.join(0.1)

    assert not reader.thread.is_alive()
    assert len({message.value for message in reader.read}) < count, "nothing was dropped"
    assert len(reader.positioned) >= 2
    assert numbered(count) in reader.read


def test_a_reader_that_keeps_up_is_told_once(bus: RabbitmqBus) -> None:
    positioned: list[None] = []
    reading = bus.subscribe((SESSION_UPDATED,), on_positioned=lambda: positioned.append(None))
    _publish_when(lambda: bool(positioned), bus, [numbered(0)])
    assert next(reading) == numbered(0)
    for number in range(1, 5 * LENGTH_MAX):
        bus.publish(numbered(number))
        assert next(reading) == numbered(number)
    assert len(positioned) == 1


def _publish_when(ready: Callable[[], bool], bus: RabbitmqBus, what: list[Message]) -> None:
    def run() -> None:
        while not ready():
            time.sleep(0.01)
        for message in what:
            bus.publish(message)

    threading.Thread(target=run, daemon=True).start()


def test_an_exchange_that_somebody_deleted_is_made_again_with_the_connection(
    bus: RabbitmqBus, rabbitmq_server: RabbitmqServer
) -> None:
    positioned: list[None] = []
    reading = bus.subscribe((KNOWLEDGE_UPDATED,), on_positioned=lambda: positioned.append(None))
    first, second = (Message(KNOWLEDGE_UPDATED, "shop", value) for value in (b"1", b"2"))
    _publish_when(lambda: len(positioned) == 1, bus, [first])
    assert next(reading) == first

    with amqp.Connection(**rabbitmq_server.address.options()) as connection:
        # An exchange that goes takes the bindings along; so does whoever closes our connection.
        connection.channel().exchange_delete("kotaemon.knowledge_updated")
    rabbitmq_server.close_connections()
    _publish_when(lambda: len(positioned) == 2, bus, [second])

    assert next(reading) == second
    assert len(positioned) == 2


def test_a_server_that_hangs_is_told_in_bounded_time_and_the_next_at_once(
    bus: RabbitmqBus, rabbitmq_server: RabbitmqServer
) -> None:
    bus.publish(numbered(1))
    rabbitmq_server.send(signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            bus.publish(numbered(2))
        first = time.monotonic() - began
        with pytest.raises(Unavailable, match="now"):
            bus.publish(numbered(3))
    finally:
        rabbitmq_server.send(signal.SIGCONT)
    assert first < 10.0
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            bus.publish(numbered(4))
            break
        except Unavailable:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_keys_as_long_as_ours_may_be_come_back_whole(bus: RabbitmqBus) -> None:
    positioned: list[None] = []
    reading = bus.subscribe((SESSION_UPDATED,), on_positioned=lambda: positioned.append(None))
    long = Message(SESSION_UPDATED, "键" * 300, b"{}")
    _publish_when(lambda: bool(positioned), bus, [long])
    assert next(reading) == long
