"""The pointer in Redis is a copy: lost, set back or wrong, the leader puts it right by itself."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import orjson
import pytest

from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.redis import RedisGenerationPointer, connect, keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.domain.knowledge import GenerationRef
from kotaemon_node.retrieval.library import KnowledgeLibrary
from tests.fakes.coordination import TENANT, SteppedCoordinator, World
from tests.fakes.signing import VERIFIER
from tests.redis_server import RedisServer

_KEY = keys.knowledge_bases(TENANT)


@pytest.fixture
def store(server: RedisServer) -> Iterator[RedisStore]:
    store = connect(server.url)
    yield store
    store.client.close()


@pytest.fixture
def world(tmp_path: Path, store: RedisStore) -> World:
    world = World(tmp_path)
    world.pointer = RedisGenerationPointer(store)  # type: ignore[assignment]
    return world


def pointer_of(world: World) -> Mapping[str, GenerationRef]:
    return world.pointer.current(TENANT)


def library_of(world: World, coordinator: SteppedCoordinator) -> KnowledgeLibrary:
    library = KnowledgeLibrary(
        store=world.store,
        segment_format=FaissSegmentFormat(),
        verifier=VERIFIER,
        pointer=world.pointer,
        encoder_for=lambda _: coordinator.encoder,
        tasks=ThreadTasks(),
        clock=SystemClock(),
        tenant=TENANT,
    )
    library.reconcile()
    return library


def point(store: RedisStore, ref: GenerationRef) -> None:
    store.client.hset(_KEY, ref.kb, orjson.dumps(asdict(ref)))


# What happens to the pointer, given the references of generation 1 and 2.


def lost(store: RedisStore, first: GenerationRef, second: GenerationRef) -> None:
    store.client.delete(_KEY)


def set_back(store: RedisStore, first: GenerationRef, second: GenerationRef) -> None:
    point(store, first)


def to_no_such_digest(store: RedisStore, first: GenerationRef, second: GenerationRef) -> None:
    point(store, replace(second, digest="0" * 64))


def to_no_such_number(store: RedisStore, first: GenerationRef, second: GenerationRef) -> None:
    point(store, replace(second, generation=9, manifest="m/9"))


def unreadable(store: RedisStore, first: GenerationRef, second: GenerationRef) -> None:
    store.client.hset(_KEY, second.kb, "{nonsense")


def without_a_number(store: RedisStore, first: GenerationRef, second: GenerationRef) -> None:
    row = {**asdict(second), "generation": {}, "kind": "of a later version"}
    store.client.hset(_KEY, second.kb, orjson.dumps(row))


@pytest.mark.parametrize(
    ("harm", "generation"),
    [
        (lost, 2),
        (set_back, 2),
        (to_no_such_digest, 3),
        (to_no_such_number, 10),
        (unreadable, 2),
        (without_a_number, 2),
    ],
)
def test_the_leader_puts_the_pointer_right_and_pods_serve_on(
    world: World,
    store: RedisStore,
    harm: Callable[[RedisStore, GenerationRef, GenerationRef], None],
    generation: int,
) -> None:
    # Given a pod that serves generation 2
    coordinator = SteppedCoordinator(world)
    world.write({"a.md": "One."})
    coordinator.settle()
    first = pointer_of(world)["default"]
    world.write({"a.md": "Two."})
    coordinator.settle(steps=4)
    second = pointer_of(world)["default"]
    library = library_of(world, coordinator)
    # When something happens to the pointer
    harm(store, first, second)
    library.reconcile()
    assert library.served() == {"default": second}
    assert library.search("default", "two", top_k=1).hits[0].passage.text == "Two."
    # Then the leader moves it to what the store has, under a new number where pods may have
    # met another generation of that one
    for _ in range(8):
        world.clock.sleep(1.0)
        coordinator.settle(steps=1)
    assert pointer_of(world)["default"].generation == generation
    assert pointer_of(world)["default"].digest == world.manifest().digest
    library.reconcile()
    assert library.served() == pointer_of(world)
    assert library.refused == {}
    assert library.search("default", "two", top_k=1).hits[0].passage.text == "Two."
