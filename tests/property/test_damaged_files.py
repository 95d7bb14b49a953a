"""Whatever single byte of a generation is changed or lost: refused, or the same answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.domain.errors import CorruptArtifact, NodeError
from kotaemon_node.retrieval.library import KnowledgeLibrary
from tests.fakes.knowledge import TENANT, Publisher
from tests.fakes.signing import VERIFIER

DOCUMENTS = {
    "lamps.md": "Lamps ship in two days.\n\nA lamp may be returned within 30 days.",
    "灯.md": "灯具两天内发货。",
}
QUESTIONS = ("lamp returned", "two days", "灯具", "nothing of the kind")


def answers(publisher: Publisher) -> list[object] | None:
    """Return all that a pod shows which starts now; None where it refuses."""
    library = KnowledgeLibrary(
        store=publisher.store,
        segment_format=FaissSegmentFormat(),
        verifier=VERIFIER,
        pointer=publisher.pointer,
        encoder_for=lambda _: publisher.encoder,
        tasks=ThreadTasks(),
        clock=SystemClock(),
        tenant=TENANT,
    )
    library.reconcile()
    if not library.served():
        assert "default" in library.refused
        return None
    found = [library.search("default", question, top_k=3).hits for question in QUESTIONS]
    shown: list[object] = []
    for hits in found:
        for hit in hits:
            try:
                shown.append(library.source("default", 1, hit.passage.id))
            except CorruptArtifact:
                return None
            except NodeError as error:
                raise AssertionError("neither refused nor shown") from error
    return [found, shown]


@contextmanager
def changed(path: Path, content: bytes) -> Iterator[None]:
    before = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.unlink()
        path.write_bytes(before)


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Publisher:
    """Return a store with one generation; each example leaves it as it found it."""
    publisher = Publisher(tmp_path_factory.mktemp("store"))
    publisher.publish(DOCUMENTS)
    return publisher


def check_one_wrong_byte(publisher: Publisher, data: st.DataObject) -> None:
    with structlog.testing.capture_logs():
        good = answers(publisher)
        assert good is not None
        name = data.draw(st.sampled_from(list(publisher.store.list(""))), label="file")
        path = publisher.store.open_local(name)
        content = path.read_bytes()
        place = data.draw(st.integers(0, len(content) - 1), label="place")
        kind = data.draw(st.sampled_from(["flip", "cut", "insert"]), label="kind")
        bit = data.draw(st.integers(0, 7), label="bit")
        harm = {
            "flip": content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :],
            "cut": content[:place],
            "insert": content[:place] + bytes([1 << bit]) + content[place:],
        }[kind]
        with changed(path, harm):
            # A crash of FAISS would end this process.
            assert answers(publisher) in (None, good)


_SETTINGS: Any = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=60, **_SETTINGS)
@given(data=st.data())
def test_one_wrong_byte_is_refused_or_changes_nothing(
    publisher: Publisher, data: st.DataObject
) -> None:
    check_one_wrong_byte(publisher, data)


@pytest.mark.long
@settings(max_examples=2_000, **_SETTINGS)
@given(data=st.data())
def test_so_it_is_for_very_many_bytes(publisher: Publisher, data: st.DataObject) -> None:
    check_one_wrong_byte(publisher, data)
