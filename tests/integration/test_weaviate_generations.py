"""Generations over a real Weaviate server: recall, pinned searches, a kill in the middle."""

import re
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kotaemon_node.adapters.encoder.factory import make_encoder
from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.system import ThreadTasks
from kotaemon_node.adapters.weaviate import WeaviateStore
from kotaemon_node.domain import limits
from kotaemon_node.ports.vectors import Ask, VectorBlock, VectorSet, VectorsUnavailable
from kotaemon_node.retrieval.library import KnowledgeLibrary
from kotaemon_node.retrieval.neighbours import Neighbours
from tests.fakes.coordination import TENANT, SteppedCoordinator, World
from tests.fakes.encoder import HashingEncoder
from tests.fakes.signing import VERIFIER
from tests.weaviate_server import WeaviateServer

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 60.0
QUESTIONS = ("how is a turn taken over", "what does a segment hold", "who signs a generation")


@pytest.fixture(scope="module")
def shared_server() -> Iterator[WeaviateServer]:
    server = WeaviateServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def server(shared_server: WeaviateServer) -> WeaviateServer:
    if not shared_server.running:
        shared_server.start()
    store_of(shared_server).keep_only(TENANT, "default", ())
    return shared_server


def store_of(server: WeaviateServer) -> WeaviateStore:
    return WeaviateStore(server.address, timeout_s=TIMEOUT_S)


def paragraphs() -> Sequence[str]:
    """Return the sentences and code of this repository, in pieces of some lines."""
    texts: list[str] = []
    for path in sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("kotaemon_node/**/*.py")]):
        lines = path.read_text("utf-8").splitlines()
        texts += ["\n".join(lines[at : at + 12]) for at in range(0, len(lines), 12)]
    return [text for text in texts if len(re.findall(r"\w+", text)) >= 20]


@pytest.fixture(scope="module")
def embedded() -> NDArray[np.float32]:
    encoder = make_encoder("all-MiniLM-L6-v2", "onnx", ROOT / ".models", 2)
    (space,) = encoder.spaces
    texts = paragraphs()
    texts = texts[:: max(1, len(texts) // 1_600)]
    assert len(texts) > 1_500
    vectors = [
        encoder.encode_passages(texts[at : at + 64])[space].vectors
        for at in range(0, len(texts), 64)
    ]
    return np.concatenate(vectors)


def test_what_it_finds_of_real_texts_is_nearly_all_that_is_near(
    server: WeaviateServer, embedded: NDArray[np.float32]
) -> None:
    asked, kept = embedded[::8], np.delete(embedded, np.s_[::8], axis=0)
    store = store_of(server)
    of = VectorSet(TENANT, "default", "mini", "a" * 64, kept.shape[1])
    store.write(of, [(np.arange(len(kept)), kept)])
    recalls: list[float] = []
    for vector in asked:
        found = store.nearest([Ask(of, len(kept), k=50)], vector)[of]
        # The pods score what is found again, exactly: of fifty the ten best are told.
        best = np.argsort(-(kept @ vector))[:10]
        recalls.append(len({*best.tolist()} & {*found.tolist()}) / 10)
    print(f"recall@10 of {len(asked)} questions in {len(kept)} rows: {np.mean(recalls):.4f}")
    assert np.mean(recalls) >= 0.95


def library(world: World, neighbours: Neighbours | None) -> KnowledgeLibrary:
    return KnowledgeLibrary(
        store=world.store,
        segment_format=FaissSegmentFormat(),
        verifier=VERIFIER,
        pointer=world.pointer,
        encoder_for=lambda name: HashingEncoder(),
        tasks=ThreadTasks(),
        clock=world.clock,
        tenant=TENANT,
        look=neighbours.find if neighbours else None,
    )


def write_documents(world: World, *, version: str, count: int = 60) -> None:
    texts = paragraphs()
    world.write(
        {
            f"{at:03}.md": f"# Part {at} {version}\n\n" + "\n\n".join(texts[at::count][:8])
            for at in range(count)
        }
    )


def shards(server: WeaviateServer, segments: Sequence[str]) -> dict[str, int]:
    sets = [VectorSet(TENANT, "default", "all", name, 64) for name in segments]
    return {of.segment: size for of, size in store_of(server).sizes(sets).items()}


def test_a_pinned_search_stays_as_it_was_until_its_sets_have_gone(
    server: WeaviateServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GENERATIONS_KEPT", 1)
    world = World(tmp_path)
    coordinator = SteppedCoordinator(world, vector_store=store_of(server))
    write_documents(world, version="one")
    coordinator.settle()
    counted: list[str] = []
    neighbours = Neighbours(store_of(server), clock=world.clock, count=counted.append)
    asking, reading = library(world, neighbours), library(world, None)
    asking.reconcile()
    old = {entry.name: entry.passages for entry in world.manifest().segments}
    assert shards(server, [*old]) == old
    counted.clear()

    with asking.pinned("default") as searcher:
        before = [searcher.search(question) for question in QUESTIONS]
        write_documents(world, version="two")
        coordinator.settle()
        asking.reconcile()
        reading.reconcile()
        assert world.manifest().generation > before[0].generation
        assert [searcher.search(question) for question in QUESTIONS] == before
        for question in QUESTIONS:
            assert asking.search("default", question, top_k=5) == reading.search(
                "default", question, top_k=5
            )
        assert {*counted} == {"store"}

        for _ in range(2):  # seen unnamed, and so for longer than any turn runs
            world.clock.sleep(limits.ARTIFACT_GRACE_S)
            coordinator.retention.sweep("default")
        coordinator.settle()
        new = {entry.name: entry.passages for entry in world.manifest().segments}
        assert not old.keys() & new.keys()
        assert shards(server, [*old, *new]) == new
        # Longer than a turn may run: what it asks for is gone, its mapped files are not.
        counted.clear()
        assert [searcher.search(question) for question in QUESTIONS] == before
        assert {*counted} == {"files"}
    assert asking.search("default", QUESTIONS[0], top_k=5).hits
    assert counted[-1] == "store"


def test_a_server_that_is_killed_while_vectors_are_written_ends_up_whole(
    server: WeaviateServer, tmp_path: Path
) -> None:
    world = World(tmp_path)
    store = store_of(server)
    coordinator = SteppedCoordinator(world, vector_store=store)
    coordinator.settle()
    first = world.manifest()
    write_documents(world, version="one")
    wrote = store.write
    killed = threading.Event()

    def kill_in_the_middle(of: VectorSet, blocks: Iterable[VectorBlock]) -> None:
        def halves() -> Iterator[VectorBlock]:
            for rows, vectors in blocks:
                half = len(rows) // 2
                yield rows[:half], vectors[:half]
                if not killed.is_set():
                    killed.set()
                    server.kill()
                yield rows[half:], vectors[half:]

        wrote(of, halves())

    store.write = kill_in_the_middle  # type: ignore[method-assign]
    coordinator.settle()
    assert killed.is_set()
    assert world.manifest() == first
    assert "does not answer" in str(coordinator.board.current.problem)

    server.start()
    coordinator.settle()
    segments = {entry.name: entry.passages for entry in world.manifest().segments}
    assert world.manifest().generation > first.generation
    assert shards(server, [*segments]) == segments
    pod = library(world, Neighbours(store_of(server), clock=world.clock))
    reading = library(world, None)
    for one in (pod, reading):
        one.reconcile()
    for question in QUESTIONS:
        assert pod.search("default", question, top_k=5) == reading.search(
            "default", question, top_k=5
        )


def test_a_server_that_lost_its_disk_is_filled_again(
    server: WeaviateServer, tmp_path: Path
) -> None:
    world = World(tmp_path)
    coordinator = SteppedCoordinator(world, vector_store=store_of(server))
    write_documents(world, version="one")
    coordinator.settle()
    segments = {entry.name: entry.passages for entry in world.manifest().segments}
    counted: list[str] = []
    pod = library(world, Neighbours(store_of(server), clock=world.clock, count=counted.append))
    pod.reconcile()
    before = [pod.search("default", question, top_k=5) for question in QUESTIONS]

    server.kill()
    server.wipe()
    counted.clear()
    assert [pod.search("default", question, top_k=5) for question in QUESTIONS] == before
    server.start()
    world.clock.sleep(60.0)
    assert [pod.search("default", question, top_k=5) for question in QUESTIONS] == before
    assert {*counted} == {"files"}

    coordinator.settle()
    assert shards(server, [*segments]) == segments
    counted.clear()
    assert [pod.search("default", question, top_k=5) for question in QUESTIONS] == before
    assert {*counted} == {"store"}


def test_a_server_that_hangs_is_waited_for_as_long_as_was_said(server: WeaviateServer) -> None:
    of = VectorSet(TENANT, "default", "mini", "a" * 64, 3)
    store = WeaviateStore(server.address, timeout_s=0.5)
    store.write(of, [(np.arange(1), np.eye(3, dtype=np.float32)[:1])])
    server.send(signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(VectorsUnavailable, match="does not answer"):
            store.nearest([Ask(of, 1, k=1)], np.eye(3, dtype=np.float32)[0])
        assert time.monotonic() - began < TIMEOUT_S
    finally:
        server.send(signal.SIGCONT)
    assert store.sizes([of]) == {of: 1}
