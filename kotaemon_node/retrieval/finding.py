"""One search of a generation: what its legs find, weighed together, without repeats."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.domain.knowledge import BOTH_LEGS, Hit, Leg
from kotaemon_node.domain.language import Language
from kotaemon_node.ports.traces import Span
from kotaemon_node.retrieval.analysis import question_terms
from kotaemon_node.retrieval.background import Contrast
from kotaemon_node.retrieval.bm25 import LexicalScores
from kotaemon_node.retrieval.dense import Candidates, EncodedQuestion, nearest_rows
from kotaemon_node.retrieval.fusion import fused
from kotaemon_node.retrieval.generation import OpenGeneration
from kotaemon_node.retrieval.overlap import Vectors, same_place, same_words

# Rows read for a result of k: enough that repeats and foreign ones leave k behind.
_READ_PER_HIT: Final = 2
_READ_MORE: Final = 8


@dataclass(frozen=True, slots=True)
class Question:
    """A question and what is known of it before the search."""

    text: str
    language: Language
    """That of the passages wanted."""
    encoded: EncodedQuestion
    contrast: Contrast
    pool: int
    """How many rows of each leg are weighed."""
    candidates: Candidates
    legs: frozenset[Leg] = BOTH_LEGS
    trust: float = 1.0
    """``fusion.trust_in_meaning``."""

    def score(
        self, dense: float | None, contrast: float | None, words: float, *, foreign: bool
    ) -> float:
        """Return the score of a passage; ``words`` is its share of what BM25 could reach."""
        if not self.encoded:
            return words
        if "lexical" not in self.legs:
            return -1.0 if dense is None else dense
        meaning = 0.0 if contrast is None else contrast
        return fused(meaning, words, foreign=foreign, trust=self.trust)


@dataclass(frozen=True, slots=True)
class _Near:
    """How near a row is to the question, in the space where it is nearest."""

    space: str
    dense: float


@dataclass(frozen=True, slots=True)
class _Legs:
    """What the legs of one search found."""

    rows: NDArray[np.int64]
    """Rows of all legs, increasing."""
    words: NDArray[np.float64]
    """(rows,) BM25, as a share of what it could reach."""
    bm25: NDArray[np.float64]
    coverage: NDArray[np.float64]
    near: Mapping[int, _Near]
    """What the dense leg says of the rows that it found."""
    last: Sequence[_Near]
    """The last that it found in each space: the other rows are no nearer."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A row whose passage was read."""

    row: int
    hit: Hit
    place: int
    """Decides between equal scores: the same number however segments are cut."""


def find(
    generation: OpenGeneration, question: Question, top_k: int, around: Span
) -> tuple[Hit, ...]:
    """Return the best ``top_k`` passages; ``around`` is the span that the legs are told in."""
    legs = _run_legs(generation, question, around)
    with around.begin("fuse"):
        places = generation.order(legs.rows)
        chosen = _worth_reading(question, legs, places, _READ_PER_HIT * top_k + _READ_MORE)
        read = [_read(generation, question, legs, at, int(places[at])) for at in chosen]
        read.sort(key=lambda it: (-it.hit.score, it.place))
    return tuple(_distinct(generation, read, top_k))


def _run_legs(generation: OpenGeneration, question: Question, around: Span) -> _Legs:
    found = [np.zeros(0, dtype=np.int64)]
    with around.begin("lexical"):
        lexical = LexicalScores(generation, question_terms(question.text))
        if "lexical" in question.legs:
            found.append(lexical.ranking(question.pool)[0])
    near: dict[int, _Near] = {}
    last: list[_Near] = []
    for space in sorted(question.encoded):
        with around.begin("dense", {"kotaemon.space": space}):
            rows, products = nearest_rows(
                generation, space, question.encoded[space], question.pool, question.candidates
            )
        found.append(rows)
        for row, dense in zip(rows.tolist(), products.tolist(), strict=True):
            if row not in near or dense > near[row].dense:
                near[row] = _Near(space, dense)
        if len(rows) >= question.pool:
            last.append(_Near(space, float(products.min())))
    rows = np.unique(np.concatenate(found))
    bm25, coverage = lexical.of(rows)
    return _Legs(rows, bm25 / lexical.highest, bm25, coverage, near, last)


def _worth_reading(
    question: Question, legs: _Legs, places: NDArray[np.int64], read: int
) -> list[int]:
    """Return which of ``legs.rows`` can be among the best, as places there.

    The language of a row is not known before it is read, so until then each counts as one of the
    question's, and one that only words found as as near as it may be. Of the nearest some more are
    read: one in another language counts more.
    """
    meant = {
        row: question.contrast.of(near.dense, space=near.space, language=None)
        for row, near in legs.near.items()
    }
    last = (question.contrast.of(it.dense, space=it.space, language=None) for it in legs.last)
    unknown = max(last, default=0.0)
    scores = np.zeros(len(legs.rows))
    meanings = np.full(len(legs.rows), -np.inf)
    for at, (row, words) in enumerate(zip(legs.rows.tolist(), legs.words.tolist(), strict=True)):
        near = legs.near.get(row)
        if near is not None:
            meanings[at] = meant[row]
        dense, contrast = (near.dense, meant[row]) if near is not None else (None, unknown)
        scores[at] = question.score(dense, contrast, words, foreign=False)
    best = np.lexsort((places, -scores))[:read].tolist()
    nearest = np.lexsort((places, -meanings))[: min(_READ_MORE, len(meant))].tolist()
    return list(dict.fromkeys([*best, *nearest]))


def _read(
    generation: OpenGeneration, question: Question, legs: _Legs, at: int, place: int
) -> _Read:
    row = int(legs.rows[at])
    passage = generation.passage(row)
    near = legs.near.get(row) or _nearness(generation.vector(row), question.encoded)
    dense = contrast = None
    if near is not None:
        dense = near.dense
        contrast = question.contrast.of(dense, space=near.space, language=passage.language)
    foreign = passage.language != question.language
    hit = Hit(
        passage=passage,
        score=question.score(dense, contrast, float(legs.words[at]), foreign=foreign),
        dense=dense,
        lexical=float(legs.bm25[at]),
        coverage=float(legs.coverage[at]),
        contrast=contrast,
    )
    return _Read(row, hit, place)


def _nearness(vectors: Vectors, question: EncodedQuestion) -> _Near | None:
    """Return how near a row is that only the lexical leg found."""
    common = vectors.keys() & question.keys()
    found = [_Near(space, float(vectors[space] @ question[space])) for space in sorted(common)]
    return max(found, key=lambda near: near.dense, default=None)


def _distinct(generation: OpenGeneration, read: Sequence[_Read], top_k: int) -> list[Hit]:
    """Keep the best ``top_k`` of those that do not repeat a better one."""
    kept: list[tuple[Hit, Vectors]] = []
    for it in read:
        passage, vectors = it.hit.passage, generation.vector(it.row)
        if any(
            same_place(passage, better.passage)
            or same_words(passage, better.passage, (vectors, others))
            for better, others in kept
        ):
            continue
        kept.append((it.hit, vectors))
        if len(kept) == top_k:
            break
    return [hit for hit, _ in kept]
