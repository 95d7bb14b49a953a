"""However documents came, changed, went and were merged, scores are those of a single segment."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.build import Build, Change
from coordinator.ingest import ingest
from kotaemon_node.adapters.faiss import FaissSegmentFormat
from kotaemon_node.adapters.system.tasks import ThreadTasks
from kotaemon_node.domain import limits
from kotaemon_node.domain.knowledge import Manifest
from kotaemon_node.retrieval.analysis import question_terms
from kotaemon_node.retrieval.bm25 import LexicalScores
from kotaemon_node.retrieval.generation import OpenGeneration
from kotaemon_node.retrieval.loading import GenerationLoader
from tests.fakes.coordination import TENANT, SteppedCoordinator, World
from tests.fakes.knowledge import open_generation
from tests.fakes.signing import VERIFIER

WORD = st.sampled_from(["lamp", "chair", "return", "ship", "days", "退货", "保修", "12"])
TEXT = st.lists(WORD, min_size=1, max_size=8).map(" ".join)
NAME = st.integers(0, 7).map(lambda number: f"{number}.md")
# Documents written together, or one that is deleted: each step is a generation.
STEP = st.one_of(st.dictionaries(NAME, TEXT, min_size=1, max_size=3), NAME)
FIFTY = 50


class Bench:
    """Builds generations one upon the other, as the coordinator does, without a folder."""

    def __init__(self, root: Path) -> None:
        coordinator = SteppedCoordinator(World(root))
        self._builder = coordinator.builder
        self._publisher = coordinator.publisher
        self._loader = GenerationLoader(
            coordinator.world.store,
            FaissSegmentFormat(),
            VERIFIER,
            tasks=ThreadTasks(native_threads=1),
            tenant=TENANT,
        )

    def build(
        self,
        number: int,
        previous: Manifest | None,
        texts: Mapping[str, str],
        deleted: Sequence[str] = (),
    ) -> Manifest:
        change = Change([ingest(name, text.encode()) for name, text in texts.items()], deleted)
        with tempfile.TemporaryDirectory() as folder:
            build: Build = self._builder.build(
                "default",
                number,
                previous,
                change,
                rebuild=False,
                folder=Path(folder),
                proceed=lambda done, total: None,
            )
            self._publisher.store_files(build)
        return build.manifest

    def scores(self, manifest: Manifest, question: str) -> dict[str, tuple[float, float]]:
        generation = self._loader.open(manifest)
        try:
            return scores_by_document(generation, question)
        finally:
            generation.close()


def scores_by_document(generation: OpenGeneration, question: str) -> dict[str, tuple[float, float]]:
    rows = np.concatenate(
        [np.zeros(0, dtype=np.int64)]
        + [
            part.first + np.flatnonzero(part.are_live(np.arange(part.segment.passages)))
            for part in generation.parts
        ]
    )
    scores = LexicalScores(generation, question_terms(question))
    return {
        generation.passage(row).document: (float(bm25), float(coverage))
        for row, bm25, coverage in zip(rows.tolist(), *scores.of(rows), strict=True)
    }


@settings(max_examples=25, deadline=None)
@given(st.lists(STEP, min_size=1, max_size=12), TEXT)
def test_after_any_history_of_merges_scores_are_those_of_one_segment(
    steps: list[dict[str, str] | str], question: str
) -> None:
    with tempfile.TemporaryDirectory() as root, patch.object(limits, "SEGMENTS_MAX", 3):
        bench = Bench(Path(root))
        newest: Manifest | None = None
        texts: dict[str, str] = {}
        for number, step in enumerate(steps, start=1):
            if isinstance(step, str):
                texts.pop(step, None)
                newest = bench.build(number, newest, {}, (step,))
            else:
                texts |= step
                newest = bench.build(number, newest, step)
            assert len(newest.segments) <= 3
        assert newest is not None
        whole = bench.build(100, None, texts)
        assert len(whole.segments) <= 1
        assert bench.scores(newest, question) == bench.scores(whole, question)


@settings(max_examples=3, deadline=None)
@given(st.lists(TEXT, min_size=FIFTY, max_size=FIFTY), TEXT)
def test_one_segment_and_fifty_score_the_same(texts: list[str], question: str) -> None:
    documents = {f"{number}.md": text for number, text in enumerate(texts)}
    with tempfile.TemporaryDirectory() as folder:
        one = open_generation(Path(folder), [documents])
        fifty = open_generation(Path(folder), [{name: text} for name, text in documents.items()])
        assert len(fifty.parts) == FIFTY
        found = scores_by_document(fifty, question)
        assert len(found) == FIFTY
        assert found == scores_by_document(one, question)
        one.close()
        fifty.close()
