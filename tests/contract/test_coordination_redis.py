"""The contracts of the bus, presence, leadership and generation pointers on a real Redis."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from kotaemon_node.adapters.redis import (
    RedisGenerationPointer,
    RedisLeadership,
    RedisPresence,
    RedisStore,
    RedisStreamsBus,
    connect,
)
from kotaemon_node.adapters.system import SystemClock
from kotaemon_node.domain.errors import StoreBusy, StoreUnavailable
from kotaemon_node.domain.events import KNOWLEDGE_UPDATED, SESSION_UPDATED
from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.ports.events import Message
from kotaemon_node.ports.knowledge import PodReport
from tests.redis_server import RedisServer, Server, ServerClock, free_port

CLOCK = SystemClock()
TOPICS = (KNOWLEDGE_UPDATED, SESSION_UPDATED)


class Reader:
    """Reads the bus in a thread, as a pod does."""

    def __init__(self, store: RedisStore, server: Server) -> None:
        self.values: list[bytes] = []
        self.positioned = 0
        self._changed = threading.Condition()
        self._bus = RedisStreamsBus(store, clock=ServerClock(server))
        threading.Thread(target=self._run, daemon=True).start()
        self.until(lambda: self.positioned == 1)

    def _run(self) -> None:
        for message in self._bus.subscribe(TOPICS, on_positioned=self._note):
            with self._changed:
                self.values.append(message.value)
                self._changed.notify_all()

    def _note(self) -> None:
        with self._changed:
            self.positioned += 1
            self._changed.notify_all()

    def until(self, condition: Callable[[], bool], timeout_s: float = 60) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, timeout_s), (self.positioned, self.values)


def test_every_reader_reads_every_message_after_its_beginning(
    redis_store: RedisStore, store_server: Server
) -> None:
    bus = RedisStreamsBus(redis_store, clock=CLOCK)
    bus.publish(Message(KNOWLEDGE_UPDATED, "default", b"before"))
    readers = [Reader(redis_store, store_server), Reader(redis_store, store_server)]

    bus.publish(Message(KNOWLEDGE_UPDATED, "default", b"one"))
    bus.publish(Message(SESSION_UPDATED, "s1", b"two"))

    for reader in readers:
        reader.until(lambda reader=reader: len(reader.values) == 2)  # type: ignore[misc]
        assert sorted(reader.values) == [b"one", b"two"]


def test_a_reader_survives_the_death_of_the_bus_and_misses_nothing() -> None:
    server = RedisServer()
    server.start()
    try:
        store = connect(server.url)
        bus = RedisStreamsBus(store, clock=CLOCK)
        reader = Reader(store, server)
        bus.publish(Message(SESSION_UPDATED, "s1", b"one"))
        reader.until(lambda: reader.values == [b"one"])
        store.client.execute_command("BGREWRITEAOF")

        server.kill()
        with pytest.raises(StoreUnavailable):
            bus.publish(Message(SESSION_UPDATED, "s1", b"lost"))
        server.start()
        bus.publish(Message(SESSION_UPDATED, "s1", b"two"))
        reader.until(lambda: reader.values[-1] == b"two")
    finally:
        server.remove()


def test_a_reader_of_an_emptied_bus_reads_the_truth_again(redis_server: RedisServer) -> None:
    redis_server.wipe()
    store = connect(redis_server.url)
    bus = RedisStreamsBus(store, clock=CLOCK)
    reader = Reader(store, redis_server)
    bus.publish(Message(SESSION_UPDATED, "s1", b"one"))
    reader.until(lambda: reader.values == [b"one"])

    redis_server.kill()
    # Not by FLUSHALL: while a sync is under way its entry may wait in memory, and die there.
    shutil.rmtree(redis_server.folder / "appendonlydir")
    redis_server.start()
    reader.until(lambda: reader.positioned >= 2)
    bus.publish(Message(SESSION_UPDATED, "s1", b"two"))
    reader.until(lambda: reader.values[-1] == b"two")


def test_a_pod_is_present_until_it_leaves_or_falls_silent(redis_store: RedisStore) -> None:
    presence = RedisPresence(redis_store, clock=CLOCK)
    presence.beat(PodReport(name="worker-1", incarnation="b"), ttl_s=60)
    presence.beat(PodReport(name="worker-0", incarnation="a"), ttl_s=60)
    presence.beat(PodReport(name="worker-2", incarnation="c"), ttl_s=0.05)

    deadline = time.monotonic() + 30
    while len(presence.pods()) == 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [pod["name"] for pod in presence.pods()] == ["worker-0", "worker-1"]
    presence.leave("a")
    assert [pod["name"] for pod in presence.pods()] == ["worker-1"]


def test_one_leads_and_each_new_leader_has_a_higher_fence(redis_store: RedisStore) -> None:
    office = RedisLeadership(redis_store, "coordinator")
    first = office.acquire("a", ttl_s=60)
    assert first is not None
    assert office.acquire("b", ttl_s=60) is None
    assert office.acquire("a", ttl_s=60) == first

    office.release("b")
    assert office.acquire("b", ttl_s=60) is None
    office.release("a")
    second = office.acquire("b", ttl_s=60)
    assert second is not None
    assert second > first


def reference(generation: int, digest: str = "d") -> GenerationRef:
    return GenerationRef("default", generation, digest, f"manifests/{generation}.json")


def test_a_pointer_goes_forward_only_and_a_repeat_is_no_harm(redis_store: RedisStore) -> None:
    pointer = RedisGenerationPointer(redis_store)
    assert pointer.current("default") == {}
    assert pointer.publish("default", reference(2))
    assert pointer.publish("default", reference(2))
    assert not pointer.publish("default", reference(2, digest="other"))
    assert not pointer.publish("default", reference(1))
    assert pointer.publish("default", reference(10))
    assert pointer.current("default") == {"default": reference(10)}
    assert pointer.current("another-tenant") == {}


@pytest.fixture
def nowhere() -> Iterator[RedisStore]:
    store = connect(f"redis://127.0.0.1:{free_port()}/0", pool_max=1)
    yield store
    store.client.close()


def test_a_store_that_is_not_there_is_unavailable(nowhere: RedisStore) -> None:
    with pytest.raises(StoreUnavailable):
        RedisPresence(nowhere, clock=CLOCK).pods()


def test_an_exhausted_pool_is_overload_and_no_hang(redis_server: RedisServer) -> None:
    store = connect(redis_server.url, pool_max=1)
    store.client.connection_pool.timeout = 0.05
    taken = store.client.connection_pool.get_connection()
    try:
        with pytest.raises(StoreBusy):
            RedisPresence(store, clock=CLOCK).pods()
    finally:
        store.client.connection_pool.release(taken)


def test_scripts_are_loaded_again_after_the_server_forgot_them(redis_store: RedisStore) -> None:
    office = RedisLeadership(redis_store, "coordinator")
    assert office.acquire("a", ttl_s=60) is not None
    redis_store.client.script_flush()
    assert office.acquire("a", ttl_s=60) is not None
    redis_store.client.script_flush()
    assert redis_store.run_many("lead", [(["kn:{x}", "kn:{x}:y"], ["a", 60_000])]) == [1]
