"""What only Kafka does to a reader and to a publisher."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from kafka import TopicPartition
from kafka.errors import KafkaTimeoutError, PolicyViolationError

from kotaemon_node.adapters.kafka import KafkaAddress, KafkaBus, reading, topics
from kotaemon_node.adapters.kafka.client import administrator
from kotaemon_node.adapters.kafka.reading import Place, Reading
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.errors import Unavailable
from kotaemon_node.domain.events import CONFIG_UPDATED, KNOWLEDGE_UPDATED, SESSION_UPDATED, TURN_LOG
from kotaemon_node.ports.events import Message
from tests.kafka_broker import KafkaBroker

CLOCK = SystemClock()
PATIENCE_S = 60.0
LAST = b"the reader of a test ends here"


@pytest.fixture
def broker(kafka_broker: KafkaBroker) -> KafkaBroker:
    return kafka_broker


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_LOOK_S", 0.2)


class Reader:
    """Reads one topic in a thread."""

    def __init__(self, address: KafkaAddress, topic: str, *, place: Place | None = None) -> None:
        self.topic = topic
        self.values: list[bytes] = []
        self.positioned = 0
        self._ended = threading.Event()
        self.reading = Reading(address, (topic,), on_positioned=self._note, clock=CLOCK)
        self.reading._place = place
        threading.Thread(target=self._run, daemon=True).start()
        if place is None:
            self.until(lambda: self.positioned == 1)

    def _note(self) -> None:
        self.positioned += 1

    def _run(self) -> None:
        messages = self.reading.messages()
        for message in messages:
            if message.value == LAST:
                break
            self.values.append(message.value)
        messages.close()
        self._ended.set()

    def end(self, bus: KafkaBus) -> None:
        """Have it read its last message and close its connections."""
        taken(bus, self.topic, LAST)
        assert self._ended.wait(PATIENCE_S)

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, (self.positioned, self.values)
            time.sleep(0.01)


def taken(bus: KafkaBus, topic: str, value: bytes, *, key: str = "k") -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            bus.publish(Message(topic, key, value))
        except Unavailable:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def bus(broker: KafkaBroker) -> Iterator[KafkaBus]:
    bus = KafkaBus(broker.address, clock=CLOCK)
    yield bus
    bus.close()


def test_topics_are_made_compacted_or_with_an_end(broker: KafkaBroker, bus: KafkaBus) -> None:
    taken(bus, SESSION_UPDATED, b"x")

    with administrator(broker.address) as admin:
        shape = topics.shape(admin, topics.TOPICS)
        made = {name: topics.TOPICS[name].config["cleanup.policy"] for name in topics.TOPICS}
    assert {name: count for name, (_, count) in shape.items()} == {
        KNOWLEDGE_UPDATED: 1,
        CONFIG_UPDATED: 1,
        SESSION_UPDATED: 4,
        TURN_LOG: 4,
    }
    assert made[KNOWLEDGE_UPDATED] == made[CONFIG_UPDATED] == "compact"
    assert made[SESSION_UPDATED] == made[TURN_LOG] == "delete"


def test_a_broker_that_forbids_topics_is_obeyed(
    broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with administrator(broker.address) as admin:

        def forbidden(*_: object, **__: object) -> None:
            raise PolicyViolationError("not here")

        monkeypatch.setattr(admin, "create_topics", forbidden)
        topics.ensure(admin, ["somebody-elses-work"])


def test_a_topic_that_was_made_again_is_read_from_its_new_beginning(
    broker: KafkaBroker, bus: KafkaBus
) -> None:
    taken(bus, "made-again", b"one")
    reader = Reader(broker.address, "made-again")
    taken(bus, "made-again", b"two")
    reader.until(lambda: reader.values == [b"two"])

    with administrator(broker.address) as admin:
        admin.delete_topics(["made-again"])
    reader.until(lambda: reader.positioned >= 2)
    taken(bus, "made-again", b"three")

    reader.until(lambda: reader.values[-1] == b"three")
    reader.end(bus)


def test_partitions_that_were_added_are_read_after_reading_the_truth(
    broker: KafkaBroker, bus: KafkaBus
) -> None:
    taken(bus, "grows", b"one")
    reader = Reader(broker.address, "grows")

    with administrator(broker.address) as admin:
        admin.create_partitions({"grows": 12})
    reader.until(lambda: reader.positioned == 2)
    wide = KafkaBus(broker.address, clock=CLOCK)
    values = [b"%d" % number for number in range(24)]
    for value in values:
        taken(wide, "grows", value, key=value.decode())

    reader.until(lambda: sorted(reader.values) == sorted(values))
    reader.end(wide)
    wide.close()


@pytest.mark.parametrize("offset", [0, 1_000_000])
def test_a_place_that_the_broker_does_not_have_is_noted_anew(
    broker: KafkaBroker, bus: KafkaBus, offset: int
) -> None:
    """Behind what retention left, or beyond what an emptied broker has got to."""
    topic = f"trimmed-{offset}"
    for number in range(8):
        taken(bus, topic, b"%d" % number)
    with administrator(broker.address) as admin:
        shape = topics.shape(admin, [topic])
        places = [TopicPartition(topic, number) for number in range(shape[topic][1])]
        admin.delete_records({place: -1 for place in places})
    reader = Reader(broker.address, topic, place=Place(shape, dict.fromkeys(places, offset)))

    reader.until(lambda: reader.positioned == 1)
    taken(bus, topic, b"new")

    reader.until(lambda: reader.values == [b"new"])
    reader.end(bus)


@pytest.mark.long  # two more starts of a broker; the places of it are tested above
def test_a_broker_that_came_back_empty_is_read_after_reading_the_truth() -> None:
    broker = KafkaBroker()
    broker.start()
    try:
        bus = KafkaBus(broker.address, clock=CLOCK)
        taken(bus, "emptied", b"one")
        reader = Reader(broker.address, "emptied")
        broker.kill()
        broker.wipe()
        broker.start()
        reader.until(lambda: reader.positioned >= 2)
        taken(bus, "emptied", b"two")
        reader.until(lambda: reader.values == [b"two"])
        reader.end(bus)
        bus.close()
    finally:
        broker.remove()


def test_a_broker_that_hangs_holds_up_one_publisher_and_refuses_the_others(
    broker: KafkaBroker, bus: KafkaBus
) -> None:
    taken(bus, "hangs", b"one")
    broker.send(signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable):
            bus.publish(Message("hangs", "k", b"two"))
        # From here on one at a time finds out; nobody else waits at all.
        began, refused = time.monotonic(), 0
        while time.monotonic() - began < 0.5:
            with pytest.raises(Unavailable):
                bus.publish(Message("hangs", "k", b"three"))
            refused += 1
        assert refused > 10
    finally:
        broker.send(signal.SIGCONT)
    taken(bus, "hangs", b"four")


def test_a_client_that_found_no_broker_leaves_no_thread() -> None:
    before, nowhere = set(threading.enumerate()), KafkaAddress(servers=("127.0.0.1:1",))
    with pytest.raises(KafkaTimeoutError), administrator(nowhere):
        pass
    left = [thread for thread in set(threading.enumerate()) - before if "kafka" in thread.name]
    assert left == []


@pytest.mark.long
def test_a_broker_that_wants_a_password_gets_it() -> None:
    broker = KafkaBroker(user="shop", password="not-a-secret")
    broker.start()
    try:
        bus = KafkaBus(broker.address, clock=CLOCK)
        reader = Reader(broker.address, "guarded")
        taken(bus, "guarded", b"one")
        reader.until(lambda: reader.values == [b"one"])
        stranger = KafkaBus(replace(broker.address, password="guessed"), clock=CLOCK)
        with pytest.raises(Unavailable):
            stranger.publish(Message("guarded", "k", b"two"))
        reader.end(bus)
        bus.close()
    finally:
        broker.remove()
