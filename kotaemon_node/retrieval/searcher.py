"""Searches one generation: dense and lexical legs, fused, without repeats."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from kotaemon_node.domain.knowledge import (
    BOTH_LEGS,
    GenerationRef,
    Leg,
    Manifest,
    Passage,
    SearchResult,
)
from kotaemon_node.domain.language import Language, language_of
from kotaemon_node.domain.limits import TOP_K_DEFAULT
from kotaemon_node.ports.encoder import EncoderUnavailable
from kotaemon_node.ports.traces import current, span
from kotaemon_node.retrieval.analysis import question_terms
from kotaemon_node.retrieval.background import Background, Contrast
from kotaemon_node.retrieval.bm25 import LexicalScores
from kotaemon_node.retrieval.dense import (
    NO_CANDIDATES,
    Candidates,
    EncodedQuestion,
)
from kotaemon_node.retrieval.finding import Question, find
from kotaemon_node.retrieval.fusion import trust_in_meaning
from kotaemon_node.retrieval.generation import OpenGeneration

_POOL_ROWS_MIN: Final = 50  # rows of each leg that are weighed; deeper ones are hardly ever right
# A search holds up the loop that serves for about 1 ms, and for 1 ms more with each 5,000 rows:
# from here on it is worth handing it to another thread, which costs 0.1 ms.
_NATIVE_ROWS_MIN: Final = 2_000

Encode = Callable[[str], EncodedQuestion]
Look = Callable[[OpenGeneration, EncodedQuestion, int], Candidates]
"""``Neighbours.find``: what a vector store finds near a question, so many rows of each segment."""
Compute = Callable[..., Any]
"""``ports.runtime.Tasks.compute``."""


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
        trust = trust_in_meaning(question, language=language_of(question))
        asked = Question(question, wanted, vectors, contrast, pool, candidates, legs, trust)
        # Told as an argument: on a native thread no span is current.
        arguments = (self._generation, asked, top_k, current())
        if self._generation.rows < _NATIVE_ROWS_MIN:
            hits = find(*arguments)
        else:
            hits = self._compute(find, *arguments)
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

    def closeness(self, one: str, other: str) -> float:
        """Return the cosine of two questions, the least of their spaces; -1.0: they share none."""
        left, right = self._encoded(one), self._encoded(other)
        shared = left.keys() & right.keys()
        return min((float(left[space] @ right[space]) for space in shared), default=-1.0)

    def weights(self, question: str) -> Mapping[str, float]:
        """Return the question's terms and what each weighs in BM25 and coverage."""
        return LexicalScores(self._generation, question_terms(question)).weights

    def passages_of(self, document: str) -> tuple[Passage, ...]:
        """Return the passages of a document in the order of its text; empty when it has none."""
        rows = self._generation.rows_of(document)
        return tuple(self._generation.passage(row) for row in rows)
