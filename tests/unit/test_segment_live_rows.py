"""Searches of segments that hold rows of deleted documents, many of them close to the question."""

import numpy as np
import pytest
from numpy.typing import NDArray

from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.faiss.segment import FaissSegment
from kotaemon_node.domain.knowledge import DocumentEntry, Manifest, Passage
from kotaemon_node.ports.encoder import SpaceVectors
from kotaemon_node.retrieval.dense import nearest_rows
from kotaemon_node.retrieval.generation import OpenGeneration, load_segment

DIMENSION = 32
TOPICS = 40
OF_TOPIC = 100
COUNT = TOPICS * OF_TOPIC
DEAD_TOPICS = 15

_rng = np.random.default_rng(7)
_middles = _rng.standard_normal((TOPICS, DIMENSION))
_near = np.repeat(_middles, OF_TOPIC, axis=0) + 0.9 * _rng.standard_normal((COUNT, DIMENSION))
VECTORS = (_near / np.linalg.norm(_near, axis=1, keepdims=True)).astype(np.float32)
LIVE = np.repeat(np.arange(TOPICS) >= DEAD_TOPICS, OF_TOPIC)
QUESTIONS = (_middles / np.linalg.norm(_middles, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module", params=[100, COUNT], ids=["lists", "flat"])
def segment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> FaissSegment:
    """Return a segment of a document for each topic."""
    folder = tmp_path_factory.mktemp("segment")
    form = FaissSegmentFormat(flat_rows_max=request.param)
    passages = [
        Passage(
            id=str(row),
            document=f"{row // OF_TOPIC:02}.md",
            revision="r",
            title="t",
            heading=(),
            page=None,
            language="en",
            span=(0, 1),
            text="x",
        )
        for row in range(COUNT)
    ]
    vectors = {"all": SpaceVectors(np.arange(COUNT), VECTORS)}
    entry = form.write(folder, passages, [{"x": 1}] * COUNT, vectors)
    opened = form.open({path.name: path for path in folder.iterdir()}, entry)
    assert isinstance(opened, FaissSegment)
    return opened


def exact(question: NDArray[np.float32], live: NDArray[np.bool_], k: int) -> set[int]:
    products = np.where(live, VECTORS @ question, -np.inf)
    return set(np.argsort(-products)[:k].tolist())


def test_only_chosen_rows_are_found_and_the_nearest_of_them(segment: FaissSegment) -> None:
    rows, products = segment.nearest("all", QUESTIONS, 10, LIVE)
    assert rows.shape == products.shape == (TOPICS, 10)
    assert LIVE[rows].all()
    found = [
        len(exact(question, LIVE, 10) & set(of_question.tolist()))
        for question, of_question in zip(QUESTIONS, rows, strict=True)
    ]
    assert sum(found) / rows.size >= 0.95


@pytest.mark.parametrize("left", [0, 1, 7])
def test_where_few_rows_are_left_all_of_them_are_found(segment: FaissSegment, left: int) -> None:
    live = np.zeros(COUNT, dtype=np.bool_)
    live[COUNT - left :] = True
    rows, products = segment.nearest("all", QUESTIONS[:2], 10, live)
    assert rows.shape == products.shape == (2, left)
    assert all(set(found.tolist()) == set(np.flatnonzero(live).tolist()) for found in rows)


def test_a_question_about_what_was_deleted_reads_no_more_than_others(
    segment: FaissSegment, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [
        DocumentEntry(
            document=name,
            revision="r",
            title="t",
            status="indexed",
            reason=None,
            file_bytes=1,
            text_chars=1,
            passages=OF_TOPIC,
            text=None,
            segment=segment.name,
            indexed_at="2026-01-01T00:00:00+00:00",
        )
        for name in segment.documents[DEAD_TOPICS:]
    ]
    manifest = Manifest(
        tenant="default",
        kb="default",
        generation=1,
        parent=None,
        encoder="e",
        spaces={"all": DIMENSION},
        segments=(),
        documents=documents,
        created_at="2026-01-01T00:00:00+00:00",
        extra={},
    )
    generation = OpenGeneration(manifest, [load_segment(segment)], on_close=lambda: None)
    asked: list[int] = []
    nearest = FaissSegment.nearest

    def noted(
        of: FaissSegment,
        space: str,
        queries: NDArray[np.float32],
        k: int,
        live: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        asked.append(k)
        return nearest(of, space, queries, k, live)

    monkeypatch.setattr(FaissSegment, "nearest", noted)
    for question in QUESTIONS[:DEAD_TOPICS]:
        rows, products = nearest_rows(generation, "all", question, 20)
        assert LIVE[rows].all()
        assert len(rows) == len(products) == 20
    assert max(asked) == 40
