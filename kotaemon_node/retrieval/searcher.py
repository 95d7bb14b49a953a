"""Searches one generation: dense and lexical legs, fused, without repeats."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.domain.knowledge import (
    BOTH_LEGS,
    GenerationRef,
    Hit,
    Leg,
    Manifest,
    Passage,
    SearchResult,
)
from kotaemon_node.domain.language import Language, language_of
from kotaemon_node.domain.limits import TOP_K_DEFAULT
from kotaemon_node.ports.encoder import EncoderUnavailable
from kotaemon_node.ports.traces import Span, current, span
from kotaemon_node.retrieval.analysis import question_terms
from kotaemon_node.retrieval.background import Background, Contrast
from kotaemon_node.retrieval.bm25 import LexicalScores
from kotaemon_node.retrieval.dense import (
    NO_CANDIDATES,
    Candidates,
    EncodedQuestion,
    Ranking,
    nearest_rows,
)
from kotaemon_node.retrieval.fusion import RRF_K, fuse, ranks
from kotaemon_node.retrieval.generation import OpenGeneration
from kotaemon_node.retrieval.overlap import same_place, same_words

_POOL_ROWS_MIN: Final = 50  # rows of each leg that are fused; RRF gains nothing from deeper ones
# Rows read for a result of k: enough that repeats and foreign ones leave k behind.
_READ_PER_HIT: Final = 2
_READ_MORE: Final = 8
# A passage in the other language must be this many ranks better before it goes first.
_FOREIGN_RANKS: Final = 2
# A search holds up the loop that serves for about 1 ms, and for 1 ms more with each 5,000 rows:
# from here on it is worth handing it to another thread, which costs 0.1 ms.
_NATIVE_ROWS_MIN: Final = 2_000

Encode = Callable[[str], EncodedQuestion]
Look = Callable[[OpenGeneration, EncodedQuestion, int], Candidates]
"""``Neighbours.find``: what a vector store finds near a question, so many rows of each segment."""
Compute = Callable[..., Any]
"""``ports.runtime.Tasks.compute``."""


@dataclass(frozen=True, slots=True)
class _Question:
    """A question and what is known of it before the search."""

    text: str
    language: Language
    """That of the passages wanted."""
    encoded: EncodedQuestion
    contrast: Contrast
    pool: int
    """How many rows of each leg are fused."""
    candidates: Candidates
    legs: frozenset[Leg] = BOTH_LEGS


@dataclass(frozen=True, slots=True)
class _Nearness:
    """How near a row is to the question, in the space where it is nearest."""

    space: str
    dense: float
    rank: int
    """1 for the nearest row of that space."""


@dataclass(frozen=True, slots=True)
class _Legs:
    """What the legs of one search found."""

    lexical: LexicalScores
    rows: NDArray[np.int64]
    """Rows of all legs, best first."""
    fused: NDArray[np.float64]
    near: Mapping[int, _Nearness]
    """What the dense leg says of the rows that it found."""


class Searcher:
    """Reads one generation for as long as its reader lends it; safe for many threads."""

    def __init__(
        self,
        generation: OpenGeneration,
        *,
        encode: Encode,
        compute: Compute,
        background: Background,
        look: Look | None = None,
    ) -> None:
        """``encode`` and ``background`` are those of the generation's own encoder.

        ``look`` may wait for another server; None: segments are searched in their own files.
        """
        self._generation = generation
        self._background = background
        self._encode = encode
        self._compute = compute
        self._look = look

    @property
    def ref(self) -> GenerationRef:
        """The generation that every result of this searcher comes from."""
        return self._generation.ref

    @property
    def manifest(self) -> Manifest:
        """Its manifest."""
        return self._generation.manifest

    def search(
        self,
        question: str,
        *,
        top_k: int = TOP_K_DEFAULT,
        encoded: EncodedQuestion | None = None,
        language: Language | None = None,
        legs: frozenset[Leg] = BOTH_LEGS,
    ) -> SearchResult:
        """Return the best passages, at most ``top_k``; the same call gives the same result.

        ``encoded`` saves encoding the question where that was done; ``language`` is the one that
        passages should be in, by default the question's. ``Overloaded`` when too many wait for
        the encoder; while one elsewhere does not answer, words alone are searched. ``legs`` other
        than both are for experiments: what one of them finds alone.
        """
        vectors = self._encoded(question) if encoded is None else encoded
        words_alone = not vectors
        if "dense" not in legs:
            vectors = {}
        wanted = language or language_of(question)
        contrast = Contrast(vectors, self._background)
        pool = max(_POOL_ROWS_MIN, 2 * top_k)
        look = self._look
        candidates = NO_CANDIDATES if look is None else look(self._generation, vectors, pool)
        asked = _Question(question, wanted, vectors, contrast, pool, candidates, legs)
        # Told as an argument: on a native thread no span is current.
        arguments = (self._generation, asked, top_k, current())
        if self._generation.rows < _NATIVE_ROWS_MIN:
            hits = _find(*arguments)
        else:
            hits = self._compute(_find, *arguments)
        ref = self._generation.ref
        return SearchResult(ref.kb, ref.generation, ref.digest, hits, words_alone=words_alone)

    def _encoded(self, question: str) -> EncodedQuestion:
        model = self._generation.manifest.encoder
        facts = {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": model}
        with span(f"embeddings {model}", facts):
            try:
                return self._encode(question)
            except EncoderUnavailable:
                return {}  # counted by the encoder

    def weights(self, question: str) -> Mapping[str, float]:
        """Return the question's terms and what each weighs in BM25 and coverage."""
        return LexicalScores(self._generation, question_terms(question)).weights

    def passages_of(self, document: str) -> tuple[Passage, ...]:
        """Return the passages of a document in the order of its text; empty when it has none."""
        rows = self._generation.rows_of(document)
        return tuple(self._generation.passage(row) for row in rows)


def _find(
    generation: OpenGeneration, question: _Question, top_k: int, around: Span
) -> tuple[Hit, ...]:
    legs = _run_legs(generation, question, around)
    read = _READ_PER_HIT * top_k + _READ_MORE
    scored = _scored_passages(generation, legs, read, question)
    found = _distinct(generation, scored, top_k)
    rows = np.array(sorted(row for row, _, _ in found), dtype=np.int64)
    words = dict(zip(rows.tolist(), zip(*legs.lexical.of(rows), strict=True), strict=True))
    hits: list[Hit] = []
    for row, score, passage in found:
        near = legs.near.get(row) or _nearness(generation, row, question)
        contrast = None
        if near is not None:
            contrast = question.contrast.of(near.dense, space=near.space, language=passage.language)
        bm25, coverage = words[row]
        hits.append(
            Hit(
                passage=passage,
                score=score,
                dense=near.dense if near else None,
                lexical=float(bm25),
                coverage=float(coverage),
                contrast=contrast,
            )
        )
    return tuple(hits)


def _run_legs(generation: OpenGeneration, question: _Question, around: Span) -> _Legs:
    with around.begin("lexical"):
        lexical = LexicalScores(generation, question_terms(question.text))
        rankings: list[Ranking] = []
        if "lexical" in question.legs:
            rankings.append(lexical.ranking(question.pool))
    near: dict[int, _Nearness] = {}
    for space in sorted(question.encoded):
        with around.begin("dense", {"kotaemon.space": space}):
            rows, products = nearest_rows(
                generation, space, question.encoded[space], question.pool, question.candidates
            )
        rankings.append((rows, products))
        for row, dense, rank in zip(
            rows.tolist(), products.tolist(), ranks(products).tolist(), strict=True
        ):
            if row not in near or dense > near[row].dense:
                near[row] = _Nearness(space, dense, rank)
    with around.begin("fuse"):
        rows, fused = fuse(rankings, generation.order)
    return _Legs(lexical=lexical, rows=rows, fused=fused, near=near)


def _nearness(generation: OpenGeneration, row: int, question: _Question) -> _Nearness | None:
    """Return how near a row is that only the lexical leg found; its rank is that of the last."""
    last = generation.rows
    found = [
        _Nearness(space, float(vector @ question.encoded[space]), last)
        for space, vector in generation.vector(row).items()
        if space in question.encoded
    ]
    return max(found, key=lambda near: near.dense, default=None)


def _scored_passages(
    generation: OpenGeneration, legs: _Legs, read: int, question: _Question
) -> list[tuple[int, float, Passage]]:
    """Read the best rows and weigh their languages; return (row, score, passage), best first."""
    order = dict(zip(legs.rows.tolist(), generation.order(legs.rows).tolist(), strict=True))
    nearest = sorted(legs.near, key=lambda row: (legs.near[row].rank, order[row]))
    scores = dict(zip(legs.rows.tolist(), legs.fused.tolist(), strict=True))
    scored: list[tuple[int, float, Passage]] = []
    for row in dict.fromkeys([*legs.rows[:read].tolist(), *nearest[:_READ_MORE]]):
        passage = generation.passage(row)
        score = scores[row]
        if passage.language != question.language and row in legs.near:
            # Words of two languages do not meet: closeness has to stand for both legs.
            both = len(question.legs) / (RRF_K + legs.near[row].rank + _FOREIGN_RANKS)
            score = max(score, both)
        scored.append((row, score, passage))
    return sorted(scored, key=lambda found: (-found[1], order[found[0]]))


def _distinct(
    generation: OpenGeneration, scored: list[tuple[int, float, Passage]], top_k: int
) -> list[tuple[int, float, Passage]]:
    """Keep the best ``top_k`` of those that do not repeat a better one."""
    kept: list[tuple[int, float, Passage]] = []
    for row, score, passage in scored:
        vectors = generation.vector(row)
        if any(
            same_place(passage, other)
            or same_words(passage, other, (vectors, generation.vector(better)))
            for better, _, other in kept
        ):
            continue
        kept.append((row, score, passage))
        if len(kept) == top_k:
            break
    return kept
