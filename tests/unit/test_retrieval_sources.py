"""Opening a citation: what takes long in it is not done by the loop that serves."""

import threading
from pathlib import Path

import pytest

from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.domain.errors import NotFound, Withdrawn
from kotaemon_node.domain.knowledge import OldRevision
from kotaemon_node.ports.jobs import Order
from kotaemon_node.retrieval.library import KnowledgeLibrary
from kotaemon_node.retrieval.sources import SourceReader
from tests.fakes.coordination import TENANT, SteppedCoordinator, World
from tests.fakes.signing import VERIFIER


class NotedVerifier:
    """Notes on which threads manifests are verified, and so parsed."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    def check(self, message: bytes, *, key_id: str, signature: bytes) -> None:
        self.threads.append(threading.current_thread())
        VERIFIER.check(message, key_id=key_id, signature=signature)


def test_a_manifest_is_read_for_a_citation_on_a_native_thread(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.write({"a.md": "One."})
    coordinator = SteppedCoordinator(world)
    coordinator.settle()
    verifier = NotedVerifier()
    library = KnowledgeLibrary(
        store=world.store,
        segment_format=FaissSegmentFormat(),
        verifier=verifier,
        pointer=world.pointer,
        encoder_for=lambda _: coordinator.encoder,
        tasks=ThreadTasks(),
        clock=SystemClock(),
        tenant=TENANT,
    )
    assert library.source("default", 1, world.passages()[0].id).text == "One."
    assert verifier.threads
    assert threading.current_thread() not in verifier.threads


def test_a_document_is_read_at_a_revision_that_only_an_older_generation_has(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    world.write({"a.md": "The first.", "b.md": "Beside it."})
    coordinator = SteppedCoordinator(world)
    coordinator.settle()
    (first,) = [it.revision for it in world.manifest().documents if it.document == "a.md"]
    world.write({"a.md": "The second."})
    coordinator.settle()
    sources = SourceReader(world.store, VERIFIER, tenant=TENANT)

    def old(document: str, revision: str) -> OldRevision:
        return sources.revision("default", document, revision, clock=world.clock)

    found = old("a.md", first)
    assert (found.generation, found.text, found.entry.revision) == (1, "The first.", first)
    for document, revision in (("b.md", first), ("a.md", "0" * 64), ("a.md", "a"), ("a.md", "")):
        with pytest.raises(NotFound):
            old(document, revision)

    # What was purged is told as such; what purges left of other documents is found.
    world.jobs.submit(Order("p", "purge", TENANT, "default", {"document": "b.md"}))
    coordinator.settle()
    assert old("a.md", first).text == "The first."
    world.jobs.submit(Order("q", "purge", TENANT, "default", {"document": "a.md"}))
    coordinator.settle()
    with pytest.raises(Withdrawn):
        old("a.md", first)
