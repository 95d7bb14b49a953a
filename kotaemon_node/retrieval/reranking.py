"""A second look at the best passages of a search, by a model that reads them with the question.

Law: a reranker that is away, slow or wrong costs a search some time and never its result.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, Protocol

import structlog

from kotaemon_node.domain.knowledge import BOTH_LEGS, Hit, Leg, SearchResult
from kotaemon_node.domain.limits import RERANK_HITS, RERANK_PAUSE_S
from kotaemon_node.ports.reranker import Reranker, RerankerFailed
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.traces import span
from kotaemon_node.retrieval.indexed import indexed_text

_log = structlog.get_logger(__name__)

Outcome = Literal["reranked", "failed", "skipped"]
"""``skipped``: it failed a moment ago, and was not asked again yet."""


class _Searcher(Protocol):
    """What passages are found by."""

    def search(self, question: str, *, top_k: int, legs: frozenset[Leg] = ...) -> SearchResult: ...


def _nothing() -> None:
    pass


class Reranking:
    """Orders hits by a reranker's scores. Safe for many tasks."""

    def __init__(
        self,
        reranker: Reranker,
        *,
        clock: Clock,
        count: Callable[[Outcome, float], None] = lambda outcome, took_s: None,
    ) -> None:
        """``count`` is told how each call ended, and how many seconds it took."""
        self._reranker = reranker
        self._clock = clock
        self._count = count
        self._paused_until_s = float("-inf")

    @property
    def name(self) -> str:
        """That of the model."""
        return self._reranker.name

    def best(
        self,
        searcher: _Searcher,
        question: str,
        *,
        top_k: int,
        legs: frozenset[Leg] = BOTH_LEGS,
        begins: Callable[[], None] = _nothing,
    ) -> SearchResult:
        """Search, and return the ``top_k`` passages that fit best.

        ``begins`` is called before the model is asked. Where it gives no scores the result is as
        it was found.
        """
        found = searcher.search(question, top_k=max(top_k, RERANK_HITS), legs=legs)
        with span("rerank", {"gen_ai.request.model": self.name}) as reading:
            hits = self._reranked(question, found.hits, begins)
            reading.tell({"kotaemon.hits": len(hits or ())})
        if hits is None:
            return replace(found, hits=found.hits[:top_k])
        return replace(found, hits=hits[:top_k], reranker=self.name)

    def _reranked(
        self, question: str, hits: Sequence[Hit], begins: Callable[[], None]
    ) -> tuple[Hit, ...] | None:
        """Return ``hits``, the best ``RERANK_HITS`` of them in the order of their scores.

        Hits of equal scores stay as they were, and so do those behind. None: there are no scores.
        """
        if not hits:
            return None
        started_s = self._clock.monotonic_s()
        if started_s < self._paused_until_s:
            self._count("skipped", 0.0)
            return None
        begins()
        read, rest = hits[:RERANK_HITS], hits[RERANK_HITS:]
        try:
            scores = self._reranker.scores(question, [indexed_text(hit.passage) for hit in read])
        except RerankerFailed as error:
            self._paused_until_s = self._clock.monotonic_s() + RERANK_PAUSE_S
            self._count("failed", self._clock.monotonic_s() - started_s)
            _log.warning("reranker_failed", reranker=self.name, error=str(error))
            return None
        self._count("reranked", self._clock.monotonic_s() - started_s)
        scored = [replace(hit, rerank=score) for hit, score in zip(read, scores, strict=True)]
        best = sorted(range(len(scored)), key=lambda at: (-scores[at], at))
        return (*(scored[at] for at in best), *rest)
