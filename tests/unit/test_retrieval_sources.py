"""Opening a citation: what takes long in it is not done by the loop that serves."""

import threading
from pathlib import Path

from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.retrieval.library import KnowledgeLibrary
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
