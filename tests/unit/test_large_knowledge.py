"""A knowledge base of 50,000 passages: found what comparing all finds, opened without copies."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.domain.knowledge import DocumentEntry, Manifest, Passage, SegmentEntry
from kotaemon_node.ports.encoder import SpaceVectors
from kotaemon_node.retrieval.analysis import ANALYSIS
from kotaemon_node.retrieval.bm25 import LARGE_ROWS, LexicalScores
from kotaemon_node.retrieval.dense import nearest_rows
from kotaemon_node.retrieval.generation import LoadedSegment, OpenGeneration, load_segment

SPACE, SIZE, TOPICS = "s", 48, 400
DOCUMENTS, PASSAGES = 2_500, 20
ROWS = DOCUMENTS * PASSAGES
WORDS, WORDS_OF_A_ROW = 4_000, 14
CHANCE = np.random.default_rng(11)
# Passages are about topics, as those of real knowledge bases are.
CENTRES = CHANCE.standard_normal((TOPICS, SIZE)).astype(np.float32)


@dataclass(frozen=True)
class Large:
    """A large segment, a small one with newer revisions of some of its documents."""

    entries: tuple[SegmentEntry, SegmentEntry]
    loaded: tuple[LoadedSegment, LoadedSegment]
    vectors: NDArray[np.float32]
    """(rows of both, SIZE)."""

    def generation(self, *, moved: int, before: OpenGeneration | None = None) -> OpenGeneration:
        """Open a generation; its first ``moved`` documents are found in the small segment."""
        documents = [
            entry_of(number, self.entries[number < moved].name) for number in range(DOCUMENTS)
        ]
        manifest = Manifest(
            tenant="default",
            kb="default",
            generation=1 + moved,
            parent=None,
            encoder="none",
            spaces={SPACE: SIZE},
            segments=self.entries,
            documents=tuple(documents),
            created_at="2026-01-01T00:00:00Z",
            extra={"analysis": ANALYSIS},
        )
        return OpenGeneration(
            manifest,
            self.loaded,
            on_close=lambda: None,
            before=before.parts if before is not None else (),
        )


def name_of(number: int) -> str:
    return f"document-{number:05}.md"


def entry_of(number: int, segment: str) -> DocumentEntry:
    return DocumentEntry(
        document=name_of(number),
        revision="r",
        title="t",
        status="indexed",
        reason=None,
        file_bytes=1,
        text_chars=1,
        passages=PASSAGES,
        text=None,
        segment=segment,
        indexed_at="2026-01-01T00:00:00Z",
    )


def passages_of(documents: int) -> list[Passage]:
    return [
        Passage(
            id=hashlib.sha256(f"{number} {place}".encode()).hexdigest()[:16],
            document=name_of(number),
            revision="r",
            title="t",
            heading=(),
            page=None,
            span=(place, place + 1),
            text=f"passage {place}",
            language="en",
        )
        for number in range(documents)
        for place in range(PASSAGES)
    ]


def terms_of(rows: int) -> list[dict[str, int]]:
    """Return words as they are in texts: few are in most rows, most are in few."""
    drawn = (CHANCE.zipf(1.2, (rows, WORDS_OF_A_ROW)) - 1) % WORDS
    often = CHANCE.integers(1, 5, (rows, WORDS_OF_A_ROW))
    return [
        {f"w{word}": count for word, count in zip(words, counts, strict=True)}
        for words, counts in zip(drawn.tolist(), often.tolist(), strict=True)
    ]


def vectors_near(topics: NDArray[np.int64]) -> NDArray[np.float32]:
    noise = CHANCE.standard_normal((len(topics), SIZE), dtype=np.float32)
    vectors = CENTRES[topics] + noise
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Large]:
    form = FaissSegmentFormat()
    made = []
    for documents in (DOCUMENTS, 3):
        folder: Path = tmp_path_factory.mktemp("segment")
        rows = documents * PASSAGES
        vectors = vectors_near(CHANCE.integers(0, TOPICS, rows))
        entry = form.write(
            folder,
            passages_of(documents),
            terms_of(rows),
            {SPACE: SpaceVectors(positions=np.arange(rows), vectors=vectors)},
        )
        files = {path.name: path for path in folder.iterdir()}
        made.append((entry, load_segment(form.open(files, entry)), vectors))
    (first, large_one, vectors), (second, small_one, more) = made
    yield Large((first, second), (large_one, small_one), np.concatenate([vectors, more]))
    for loaded in (large_one, small_one):
        loaded.segment.close()


@pytest.mark.parametrize("moved", [0, 3])
def test_the_nearest_are_found_among_fifty_thousand(large: Large, moved: int) -> None:
    generation = large.generation(moved=moved)
    live = np.ones(generation.rows, dtype=np.bool_)
    live[: moved * PASSAGES] = False
    live[ROWS + moved * PASSAGES :] = False
    found = 0
    questions = vectors_near(np.arange(60) % TOPICS)
    for question in questions:
        products = np.where(live, large.vectors @ question, -1.0)
        nearest = np.sort(products)[-10]
        rows, closeness = nearest_rows(generation, SPACE, question, 10)
        assert live[rows].all()
        assert closeness == pytest.approx(products[rows], abs=1e-5)
        found += int((closeness >= nearest - 1e-6).sum())
    assert found >= 0.95 * 10 * len(questions)


@pytest.mark.parametrize("moved", [0, 3])
def test_the_best_by_words_are_those_of_scoring_every_row(large: Large, moved: int) -> None:
    generation = large.generation(moved=moved)
    assert generation.rows > LARGE_ROWS
    for number in range(40):
        # Common words and rare ones, few and many.
        words = {f"w{word}" for word in CHANCE.zipf(1.3, 1 + number % 12).tolist()}
        asked = {word: 1.0 for word in words} | {f"w{number * 90}": 0.5}
        whole = LexicalScores(generation, asked, large_rows=10**9).ranking(50)
        pruned = LexicalScores(generation, asked).ranking(50)
        assert dict(zip(*map(list, pruned), strict=True)) == dict(
            zip(*map(list, whole), strict=True)
        )


def test_a_small_change_shares_what_the_large_segment_has(large: Large) -> None:
    # Given a generation in which a few documents were changed before
    before = large.generation(moved=2)
    # When another one changes
    after = large.generation(moved=2, before=before)
    further = large.generation(moved=3, before=after)
    # Then the parts that are as they were are shared, and the others are right
    assert all(new.live is old.live for new, old in zip(after.parts, before.parts, strict=True))
    assert further.parts[0].dead == 3 * PASSAGES
    assert further.live_rows == ROWS
    assert further.rows_of(name_of(2)) == list(range(ROWS + 40, ROWS + 60))
    assert further.rows_of(name_of(3)) == list(range(60, 80))


def test_a_sample_is_the_same_however_segments_are_cut(large: Large) -> None:
    whole, cut = large.generation(moved=0), large.generation(moved=3)
    shown = [
        [(cut_of.passage(row).document, cut_of.passage(row).span) for row in cut_of.sample(64)]
        for cut_of in (whole, cut)
    ]
    assert shown[0] == shown[1]
    assert len(shown[0]) == 64


def test_arrays_follow_documents_not_rows(large: Large) -> None:
    generation = large.generation(moved=0)
    part = generation.parts[0]
    held = [part.homes, part.places, part.dead_rows, part.loaded.rows, generation.bm25_norm]
    assert part.live is None
    assert max(map(len, held)) == DOCUMENTS
    assert replace(part, first=7).end == ROWS + 7
