"""However a knowledge base is cut into segments, a passage scores the same."""

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kotaemon_node.retrieval.analysis import question_terms, terms
from kotaemon_node.retrieval.background import background_of
from kotaemon_node.retrieval.bm25 import LexicalScores
from kotaemon_node.retrieval.dense import best
from kotaemon_node.retrieval.generation import BM25_B, BM25_K1, OpenGeneration
from kotaemon_node.retrieval.searcher import Searcher
from tests.fakes.encoder import HashingEncoder
from tests.fakes.knowledge import open_generation

WORD = st.sampled_from(["lamp", "chair", "return", "ship", "days", "退货", "保修", "12"])
TEXT = st.lists(WORD, min_size=1, max_size=8).map(" ".join)
DOCUMENTS = st.lists(TEXT, min_size=1, max_size=10).map(
    lambda texts: {f"{number}.md": text for number, text in enumerate(texts)}
)


def cut(documents: dict[str, str], cuts: list[int]) -> list[dict[str, str]]:
    """Deal the documents out to as many segments as there are numbers in ``cuts``."""
    segments: list[dict[str, str]] = [{} for _ in range(max(cuts) + 1)]
    for place, (name, text) in enumerate(documents.items()):
        segments[cuts[place % len(cuts)]][name] = text
    return segments


def scores_by_document(generation: OpenGeneration, question: str) -> dict[str, tuple[float, float]]:
    scores = LexicalScores(generation, question_terms(question))
    rows = live_rows(generation)
    return {
        generation.passage(row).document: (float(bm25), float(coverage))
        for row, bm25, coverage in zip(rows.tolist(), *scores.of(rows), strict=True)
    }


def live_rows(generation: OpenGeneration) -> NDArray[np.int64]:
    rows = [
        part.first + np.flatnonzero(part.are_live(np.arange(part.segment.passages)))
        for part in generation.parts
    ]
    return np.concatenate([np.zeros(0, dtype=np.int64), *rows])


@settings(max_examples=60, deadline=None)
@given(DOCUMENTS, st.lists(st.integers(0, 3), min_size=1, max_size=4), TEXT, st.data())
def test_one_segment_and_many_give_the_same_scores(
    documents: dict[str, str], cuts: list[int], question: str, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        # Given the same documents in one segment and in several, beside dead older revisions
        one = open_generation(Path(folder), [documents])
        changed = data.draw(st.lists(st.sampled_from(sorted(documents)), unique=True))
        old = {name: "lamp lamp chair 退货 an older revision" for name in changed}
        many = open_generation(Path(folder), [old, *cut(documents, cuts)])
        # Then every passage has the same scores, to the last bit
        assert scores_by_document(many, question) == scores_by_document(one, question)
        # And a search finds the same passages in the same order
        found = [
            Searcher(
                generation,
                encode=lambda text: {
                    "all": HashingEncoder().encode_queries([text])["all"].vectors[0]
                },
                compute=lambda work, *arguments: work(*arguments),
                background=background_of(generation, {}),
            ).search(question, top_k=4)
            for generation in (one, many)
        ]
        assert [hit.passage for hit in found[0].hits] == [hit.passage for hit in found[1].hits]
        assert [hit.score for hit in found[0].hits] == [hit.score for hit in found[1].hits]
        contrasts = [[hit.contrast for hit in result.hits] for result in found]
        assert contrasts[0] == pytest.approx(contrasts[1], abs=1e-5)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(DOCUMENTS, min_size=1, max_size=3),
    st.sets(st.integers(0, 9)),
    TEXT,
    st.integers(1, 6),
    st.integers(0, 8),
)
def test_the_best_rows_of_large_segments_are_those_of_scoring_every_row(
    segments: list[dict[str, str]], deleted: set[int], question: str, k: int, large_rows: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        gone = [f"{number}.md" for number in deleted]
        generation = open_generation(Path(folder), segments, deleted=gone)
        asked = question_terms(question)
        # Given the scores of all rows
        rows = live_rows(generation)
        whole = LexicalScores(generation, asked, large_rows=100)
        matching = rows[whole.of(rows)[0] > 0]
        expected = best(matching, whole.of(matching)[0], k)
        # Then those that look for candidates find the same, to the last bit
        for size in (0, large_rows):
            scores = LexicalScores(generation, asked, large_rows=size)
            found, bm25 = scores.ranking(k)
            by_row = dict(zip(found.tolist(), bm25.tolist(), strict=True))
            assert by_row == dict(zip(*(of.tolist() for of in expected), strict=True))
            assert [of.tolist() for of in scores.of(rows)] == [of.tolist() for of in whole.of(rows)]
            assert scores.weights == whole.weights


def test_the_score_is_the_formula_of_the_book(tmp_path: Path) -> None:
    documents = {"a": "lamp lamp chair", "b": "lamp", "c": "table table table table"}
    generation = open_generation(tmp_path, [documents])
    average = sum(sum(terms(text).values()) for text in documents.values()) / 3
    weight = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    for name, count, length in (("a", 2, 3), ("b", 1, 1)):
        norm = BM25_K1 * (1 - BM25_B + BM25_B * length / average)
        expected = weight * count * (BM25_K1 + 1) / (count + norm)
        assert scores_by_document(generation, "lamp")[name][0] == pytest.approx(expected)
    assert scores_by_document(generation, "lamp")["c"] == (0.0, 0.0)


def test_coverage_weighs_rare_terms_more_and_asks_for_one_more_than_there_are(
    tmp_path: Path,
) -> None:
    generation = open_generation(tmp_path, [{"a": "lamp chair", "b": "lamp", "c": "lamp"}])
    lamp, chair, unknown = (math.log(1 + (3 - n + 0.5) / (n + 0.5)) for n in (3, 1, 0))
    scores = scores_by_document(generation, "lamp chair")
    assert scores["a"][1] == pytest.approx((lamp + chair) / (lamp + chair + unknown))
    assert scores["b"][1] == pytest.approx(lamp / (lamp + chair + unknown))
    assert scores_by_document(generation, "lamp spaceship")["a"][1] == pytest.approx(
        lamp / (lamp + 2 * unknown)
    )


def test_an_empty_generation_finds_nothing(tmp_path: Path) -> None:
    generation = open_generation(tmp_path, [])
    rows, scores = LexicalScores(generation, question_terms("lamp")).ranking(5)
    assert len(rows) == len(scores) == 0
