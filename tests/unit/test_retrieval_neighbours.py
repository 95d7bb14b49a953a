"""Searches that ask a vector store, and what they find when it is away, slow or wrong."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.system import ThreadTasks
from kotaemon_node.adapters.weaviate import WeaviateStore
from kotaemon_node.domain.knowledge import SearchResult
from kotaemon_node.ports.vectors import Ask, VectorSet, VectorsUnavailable
from kotaemon_node.retrieval.library import KnowledgeLibrary
from kotaemon_node.retrieval.neighbours import Neighbours
from tests.fakes.coordination import TENANT, SteppedCoordinator, World
from tests.fakes.encoder import HashingEncoder
from tests.fakes.signing import VERIFIER
from tests.fakes.weaviate import FakeWeaviate

DOCUMENTS = {
    "lamps.md": "Lamps ship in two days.\n\nA lamp may be returned within 30 days.",
    "chairs.md": "Chairs have a warranty of five years.",
    "灯.md": "台灯保修两年。",
}
QUESTIONS = ("how long is the warranty of chairs", "台灯保修多久", "return a lamp")


class Asked:
    """``VectorSearch`` that is a real one, until the test says otherwise."""

    def __init__(self, store: WeaviateStore) -> None:
        self._store = store
        self.asks: list[Sequence[Ask]] = []
        self.away = False
        self.lies: NDArray[np.int64] | None = None

    def nearest(
        self, asks: Sequence[Ask], vector: NDArray[np.float32]
    ) -> Mapping[VectorSet, NDArray[np.int64]]:
        self.asks.append(asks)
        if self.away:
            raise VectorsUnavailable("the vector store is away")
        if self.lies is not None:
            return {ask.of: self.lies for ask in asks}
        return self._store.nearest(asks, vector)


class Pod:
    """A library that asks, one that does not, and what was counted."""

    def __init__(self, world: World, server: FakeWeaviate) -> None:
        self._world = world
        self.store = Asked(WeaviateStore(server.address, timeout_s=60.0))
        self.counted: list[str] = []
        self.neighbours = Neighbours(self.store, clock=world.clock, count=self.counted.append)
        self.asking = self._library(self.neighbours)
        self.reading = self._library(None)

    def _library(self, neighbours: Neighbours | None) -> KnowledgeLibrary:
        return KnowledgeLibrary(
            store=self._world.store,
            segment_format=FaissSegmentFormat(),
            verifier=VERIFIER,
            pointer=self._world.pointer,
            encoder_for=lambda name: HashingEncoder(by_language=True),
            tasks=ThreadTasks(),
            clock=self._world.clock,
            tenant=TENANT,
            look=neighbours.find if neighbours else None,
        )

    def load(self) -> None:
        """Serve the newest generation, and forget what was counted on the way."""
        self.asking.reconcile()
        self.reading.reconcile()
        self.counted.clear()
        self.store.asks.clear()

    def finds_the_same(self, question: str) -> SearchResult:
        """Search with both and return what they found."""
        found = self.asking.search("default", question, top_k=5)
        assert found == self.reading.search("default", question, top_k=5)
        assert found.hits
        return found


@pytest.fixture
def server() -> Iterator[FakeWeaviate]:
    server = FakeWeaviate()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def coordinator(world: World, server: FakeWeaviate) -> SteppedCoordinator:
    return SteppedCoordinator(
        world,
        encoder=HashingEncoder(by_language=True),
        vector_store=WeaviateStore(server.address, timeout_s=60.0),
    )


@pytest.fixture
def pod(world: World, server: FakeWeaviate, coordinator: SteppedCoordinator) -> Pod:
    world.write(DOCUMENTS)
    coordinator.settle()
    pod = Pod(world, server)
    pod.load()
    return pod


def test_a_search_finds_by_the_store_what_it_finds_in_the_files(pod: Pod) -> None:
    for question in QUESTIONS:
        pod.finds_the_same(question)
    assert pod.counted == ["store"] * len(QUESTIONS)
    assert not pod.neighbours.problem


def test_dead_rows_do_not_take_the_places_of_live_ones(
    world: World, coordinator: SteppedCoordinator, pod: Pod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More dead rows are near than are asked for: the rest is found in the files."""
    monkeypatch.setattr("kotaemon_node.retrieval.searcher._POOL_ROWS_MIN", 2)
    monkeypatch.setattr("coordinator.build.segments_to_merge", lambda *_, **__: set())
    world.write({f"{at}.md": f"Oak shelf number {at}." for at in range(12)})
    coordinator.settle()
    for at in range(10):
        (world.knowledge / f"{at}.md").unlink()
    coordinator.settle()
    pod.load()
    for top_k in (1, 2, 5):
        found = pod.asking.search("default", "an oak shelf", top_k=top_k)
        assert found == pod.reading.search("default", "an oak shelf", top_k=top_k)
        assert {hit.passage.document for hit in found.hits[:2]} <= {"10.md", "11.md"}
    assert "files" not in pod.counted


def test_a_store_that_is_away_costs_one_search_and_is_tried_again(world: World, pod: Pod) -> None:
    pod.store.away = True
    for question in QUESTIONS:
        pod.finds_the_same(question)
    assert pod.counted == ["files"] * 3
    assert len(pod.store.asks) == 1
    assert pod.neighbours.problem == "the vector store is away"

    world.clock.sleep(60.0)
    pod.finds_the_same(QUESTIONS[0])
    pod.finds_the_same(QUESTIONS[0])
    assert len(pod.store.asks) == 2

    pod.store.away = False
    world.clock.sleep(60.0)
    pod.finds_the_same(QUESTIONS[0])
    assert pod.counted[-1] == "store"
    assert not pod.neighbours.problem


def test_a_server_that_ends_and_comes_back_empty_changes_no_answer(
    world: World, server: FakeWeaviate, coordinator: SteppedCoordinator, pod: Pod
) -> None:
    server.kill()
    server.wipe()
    pod.finds_the_same(QUESTIONS[0])
    server.start()
    world.clock.sleep(60.0)
    pod.finds_the_same(QUESTIONS[0])
    assert pod.counted == ["files", "files"]
    assert not pod.neighbours.problem  # it answers: what it lacks is the coordinator's affair

    coordinator.settle()
    pod.finds_the_same(QUESTIONS[0])
    assert pod.counted[-1] == "store"


def test_a_set_that_is_being_filled_is_read_from_the_files(
    world: World, server: FakeWeaviate, pod: Pod
) -> None:
    for made in server.collections.values():
        for shard in made.values():
            shard.popitem()
    for question in QUESTIONS:
        pod.finds_the_same(question)
    assert {*pod.counted} == {"files"}


@pytest.mark.parametrize("rows", [[10**6] * 3, [-1, 0, 1]])
def test_rows_that_no_segment_has_are_not_believed(
    world: World,
    coordinator: SteppedCoordinator,
    pod: Pod,
    monkeypatch: pytest.MonkeyPatch,
    rows: list[int],
) -> None:
    monkeypatch.setattr("coordinator.build.segments_to_merge", lambda *_, **__: set())
    (world.knowledge / "lamps.md").unlink()  # its rows are dead, so the others are looked up
    coordinator.settle()
    pod.load()
    pod.store.lies = np.array(rows, dtype=np.int64)
    for question in QUESTIONS:
        pod.finds_the_same(question)


def test_what_is_asked_is_a_matter_of_the_generation_that_is_pinned(
    world: World, coordinator: SteppedCoordinator, pod: Pod
) -> None:
    with pod.asking.pinned("default") as searcher:
        before = searcher.search(QUESTIONS[0])
        old = {ask.of.segment for asks in pod.store.asks for ask in asks}
        world.write({"chairs.md": "Chairs have a warranty of nine years now."})
        coordinator.settle()
        pod.load()
        assert searcher.search(QUESTIONS[0]) == before
        assert {ask.of.segment for asks in pod.store.asks for ask in asks} == old
        assert pod.counted == ["store"]
    pod.store.asks.clear()
    assert "nine" in pod.finds_the_same(QUESTIONS[0]).hits[0].passage.text
    new = {entry.name for entry in world.manifest().segments}
    assert {ask.of.segment for asks in pod.store.asks for ask in asks} <= new
