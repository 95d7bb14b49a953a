"""The contract of the bus, the same cases on Kafka, RabbitMQ, Redis Streams and in one process."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest

from kotaemon_node.adapters.kafka import KafkaAddress, KafkaBus
from kotaemon_node.adapters.rabbitmq import RabbitmqAddress, RabbitmqBus
from kotaemon_node.adapters.redis import RedisStreamsBus, connect
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.events import KNOWLEDGE_UPDATED, SESSION_UPDATED
from kotaemon_node.listeners.dispatch import Dispatch
from kotaemon_node.listeners.knowledge_updated import KnowledgeUpdatedListener
from kotaemon_node.ports.events import Bus, Message
from kotaemon_node.telemetry.metrics import Metrics
from tests.fakes.bus import InProcessBus
from tests.kafka_broker import KafkaBroker
from tests.rabbitmq_server import RabbitmqServer
from tests.redis_server import RedisServer, ServerClock, free_port

CLOCK = SystemClock()
TOPICS = (KNOWLEDGE_UPDATED, SESSION_UPDATED)
LAST = b"the readers of a test end here"
# Far beyond what anything takes: a slow machine must not look like a lost message.
PATIENCE_S = 60.0
REFUSED_WITHIN_S = 10.0
READING: list[threading.Thread] = []


class Kind(Protocol):
    """A kind of bus and what is done to what carries it."""

    keeps: bool
    """Whether it keeps what is published while a reader is not connected."""

    def bus(self) -> Bus:
        """Return the bus as another process has it."""
        ...

    def absent(self) -> Bus:
        """Return one whose broker is not there."""
        ...

    def stop(self) -> None: ...
    def start(self) -> None: ...
    def remove(self) -> None: ...


class OnKafka:
    keeps = True

    def __init__(self, broker: KafkaBroker) -> None:
        self.broker = broker

    def bus(self) -> Bus:
        return KafkaBus(self.broker.address, clock=CLOCK)

    def absent(self) -> Bus:
        return KafkaBus(KafkaAddress(servers=(f"127.0.0.1:{free_port()}",)), clock=CLOCK)

    def stop(self) -> None:
        self.broker.kill()

    def start(self) -> None:
        self.broker.start()

    def remove(self) -> None:
        pass  # others use it


class OnRabbitmq:
    keeps = False

    def __init__(self, server: RabbitmqServer) -> None:
        self.server = server

    def bus(self) -> Bus:
        return RabbitmqBus(self.server.address, clock=CLOCK)

    def absent(self) -> Bus:
        return RabbitmqBus(RabbitmqAddress("127.0.0.1", free_port()), clock=CLOCK)

    def stop(self) -> None:
        self.server.kill()

    def start(self) -> None:
        self.server.start()

    def remove(self) -> None:
        pass  # others use it


class OnRedis:
    keeps = True

    def __init__(self) -> None:
        # A message that was taken must not die with the process: that is what is compared here.
        self.server = RedisServer(options=("--appendonly", "yes", "--appendfsync", "always"))
        self.server.start()

    def bus(self) -> Bus:
        return RedisStreamsBus(connect(self.server.url), clock=ServerClock(self.server))

    def absent(self) -> Bus:
        return RedisStreamsBus(connect(f"redis://127.0.0.1:{free_port()}/0"), clock=CLOCK)

    def stop(self) -> None:
        self.server.kill()

    def start(self) -> None:
        self.server.start()

    def remove(self) -> None:
        self.server.remove()


class InProcess:
    keeps = True

    def __init__(self) -> None:
        self._bus = InProcessBus()

    def bus(self) -> Bus:
        return self._bus

    def absent(self) -> Bus:
        nowhere = InProcessBus()
        nowhere.stop()
        return nowhere

    def stop(self) -> None:
        self._bus.stop()

    def start(self) -> None:
        self._bus.start()

    def remove(self) -> None:
        pass


class Reader:
    """Reads the bus in a thread, as a pod does."""

    def __init__(self, bus: Bus, *, on_positioned: Callable[[], None] = lambda: None) -> None:
        self.messages: list[Message] = []
        self.positioned = 0
        self._changed = threading.Condition()
        self._then = on_positioned
        self._bus = bus
        thread = threading.Thread(target=self._run, daemon=True)
        READING.append(thread)
        thread.start()
        self.until(lambda: self.positioned == 1)

    @property
    def values(self) -> list[bytes]:
        return [message.value for message in self.messages]

    def _run(self) -> None:
        for message in self._bus.subscribe(TOPICS, on_positioned=self._note):
            if message.value == LAST:
                return
            with self._changed:
                self.messages.append(message)
                self._changed.notify_all()

    def _note(self) -> None:
        self._then()
        with self._changed:
            self.positioned += 1
            self._changed.notify_all()

    def until(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S), (self.positioned, self.messages)


KINDS: dict[str, Callable[[pytest.FixtureRequest], Kind]] = {
    "kafka": lambda request: OnKafka(request.getfixturevalue("kafka_broker")),
    "rabbitmq": lambda request: OnRabbitmq(request.getfixturevalue("rabbitmq_server")),
    "redis": lambda _: OnRedis(),
    "in-process": lambda _: InProcess(),
}


@pytest.fixture(scope="module", params=KINDS)
def carried(request: pytest.FixtureRequest) -> Iterator[Kind]:
    kind = KINDS[request.param](request)
    try:
        yield kind
    finally:
        kind.remove()


@pytest.fixture
def kind(carried: Kind) -> Iterator[Kind]:
    yield carried
    bus = carried.bus()
    for topic in TOPICS:
        taken(bus, Message(topic, "end", LAST))
    # One whose broker goes away first would try again for as long as this process runs.
    while READING:
        thread = READING.pop()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def taken(bus: Bus, message: Message) -> None:
    """Publish, again and again until the bus takes it."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            bus.publish(message)
        except Unavailable:
            assert time.monotonic() < deadline, "the bus takes nothing"
            time.sleep(0.05)
        else:
            return


def knowledge(generation: int) -> Message:
    value = f'{{"tenant": "default", "kb": "shop", "generation": {generation}}}'
    return Message(KNOWLEDGE_UPDATED, "shop", value.encode())


def test_every_reader_reads_every_message_of_its_topics_after_its_beginning(kind: Kind) -> None:
    kind.bus().publish(Message(KNOWLEDGE_UPDATED, "shop", b"before"))
    readers = [Reader(kind.bus()) for _ in range(3)]

    kind.bus().publish(Message(KNOWLEDGE_UPDATED, "shop", b"one"))
    kind.bus().publish(Message(SESSION_UPDATED, "s1", b"two"))
    kind.bus().publish(Message("turn_log", "s1", b"of a topic that nobody asked for"))

    for reader in readers:
        reader.until(lambda reader=reader: len(reader.messages) >= 2)  # type: ignore[misc]
        assert {(m.topic, m.key, m.value) for m in reader.messages} == {
            (KNOWLEDGE_UPDATED, "shop", b"one"),
            (SESSION_UPDATED, "s1", b"two"),
        }


def test_messages_of_one_key_keep_their_order(kind: Kind) -> None:
    reader, bus = Reader(kind.bus()), kind.bus()
    keys = [f"s{number}" for number in range(7)]

    for number in range(20):
        for key in keys:
            bus.publish(Message(SESSION_UPDATED, key, b"%d" % number))

    reader.until(lambda: len(reader.messages) >= 140)
    for key in keys:
        seen = [int(message.value) for message in reader.messages if message.key == key]
        assert seen == list(range(20))


def test_what_is_published_while_the_reader_reads_the_truth_is_not_missed(kind: Kind) -> None:
    bus = kind.bus()
    bus.publish(knowledge(1))

    # The end is noted, and nothing is read yet: here a pod reads the manifests.
    reader = Reader(kind.bus(), on_positioned=lambda: bus.publish(knowledge(2)))

    reader.until(lambda: len(reader.messages) >= 1)
    assert reader.messages == [knowledge(2)]


def test_a_broker_that_was_away_comes_back_without_a_gap(kind: Kind) -> None:
    reader, bus = Reader(kind.bus()), kind.bus()
    bus.publish(knowledge(1))
    reader.until(lambda: knowledge(1) in reader.messages)

    kind.stop()
    with pytest.raises(Unavailable):
        bus.publish(knowledge(2))
    kind.start()
    if not kind.keeps:
        # Then what was published meanwhile is lost, and the reader is told to read the truth.
        reader.until(lambda: reader.positioned == 2)
    taken(bus, knowledge(3))
    taken(kind.bus(), knowledge(4))

    reader.until(lambda: knowledge(4) in reader.messages)
    assert knowledge(3) in reader.messages
    assert knowledge(1) in reader.messages


def test_a_reader_that_comes_while_the_broker_is_away_waits_for_it(kind: Kind) -> None:
    kind.stop()
    seen: list[Reader] = []
    coming = threading.Thread(target=lambda: seen.append(Reader(kind.bus())), daemon=True)
    coming.start()
    coming.join(0.3)
    kind.start()
    coming.join(PATIENCE_S)

    taken(kind.bus(), knowledge(1))

    assert seen, "the reader was not positioned"
    seen[0].until(lambda: seen[0].messages == [knowledge(1)])


def test_a_replay_from_the_start_leads_to_the_same_end(kind: Kind) -> None:
    looked: list[int] = []
    listener = KnowledgeUpdatedListener(look=lambda tenant, kb, number: looked.append(number))
    _dispatching(kind, listener)
    bus = kind.bus()

    for generation in (1, 2, 3, 3, 2, 1, 1, 2, 3):
        bus.publish(knowledge(generation))

    deadline = time.monotonic() + PATIENCE_S
    while len(looked) < 9 and time.monotonic() < deadline:
        time.sleep(0.01)
    # Every one of them only makes the pod look; what it serves is what it finds.
    assert looked == [1, 2, 3, 3, 2, 1, 1, 2, 3]


def test_poison_is_counted_and_what_follows_is_handled(kind: Kind) -> None:
    looked: list[int] = []
    listener = KnowledgeUpdatedListener(look=lambda tenant, kb, number: looked.append(number))
    metrics = _dispatching(kind, listener)
    bus = kind.bus()

    for poison in (b"", b"\xff\xfe", b"[]", b'{"tenant": "default", "kb": "../x"}', b"null"):
        bus.publish(Message(KNOWLEDGE_UPDATED, "shop", poison))
    bus.publish(knowledge(7))

    deadline = time.monotonic() + PATIENCE_S
    while not looked and time.monotonic() < deadline:
        time.sleep(0.01)
    assert looked == [7]
    assert 'outcome="poison",topic="knowledge_updated"} 5.0' in metrics.exposition().decode()


def _dispatching(kind: Kind, listener: KnowledgeUpdatedListener) -> Metrics:
    """Run a dispatcher as a pod does, until the test's last message; return its metrics."""
    metrics, positioned = Metrics(), threading.Event()
    bus = _Ending(kind.bus())
    dispatch = Dispatch(bus, {KNOWLEDGE_UPDATED: listener}, metrics=metrics, clock=CLOCK)

    def run() -> None:
        dispatch.run(on_positioned=positioned.set)

    threading.Thread(target=run, daemon=True).start()
    assert positioned.wait(PATIENCE_S)
    return metrics


class _Ending:
    """A bus whose readers stand still after the last message of a test."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.publish = bus.publish

    def subscribe(
        self, topics: tuple[str, ...], *, on_positioned: Callable[[], None]
    ) -> Iterator[Message]:
        for message in self._bus.subscribe(topics, on_positioned=on_positioned):
            if message.value == LAST:
                break
            yield message
        threading.Event().wait()


def test_a_broker_that_is_not_there_is_told_in_bounded_time(kind: Kind) -> None:
    bus = kind.absent()
    began = time.monotonic()
    with pytest.raises(Unavailable):
        bus.publish(knowledge(1))
    assert time.monotonic() - began < REFUSED_WITHIN_S


def test_many_publish_at_once_and_nothing_is_lost(kind: Kind) -> None:
    reader, bus = Reader(kind.bus()), kind.bus()

    def publish(part: int) -> None:
        for number in range(20):
            bus.publish(Message(SESSION_UPDATED, f"s{part}", b"%d.%d" % (part, number)))

    threads = [threading.Thread(target=publish, args=(part,)) for part in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)

    reader.until(lambda: len(reader.messages) >= 160)
    assert sorted(reader.values) == sorted(b"%d.%d" % (p, n) for p in range(8) for n in range(20))
