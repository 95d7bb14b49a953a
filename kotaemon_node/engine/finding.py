"""Retrieval in a turn: the passages of one pinned generation, found once and journalled."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, Protocol

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import KnowledgeBehind
from kotaemon_node.domain.knowledge import Leg, SearchResult
from kotaemon_node.engine.answer_draft import Answering
from kotaemon_node.engine.journal import RETRIEVAL, retrieval_from_json, retrieval_to_json
from kotaemon_node.engine.lending import Knowledge, KnowledgeOf, Lending, PinnedKnowledge
from kotaemon_node.engine.threshold import clear
from kotaemon_node.engine.understanding.searching import searched
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.traces import span
from kotaemon_node.telemetry.metrics import Metrics

_BEHIND_PAUSE_S: Final = 0.2


class Reranks(Protocol):
    """Has the last word on the order of passages; implemented by ``retrieval.reranking``."""

    @property
    def name(self) -> str:
        """That of its model."""
        ...

    def best(
        self,
        searcher: PinnedKnowledge,
        question: str,
        *,
        top_k: int,
        legs: frozenset[Leg] = ...,
        begins: Callable[[], None] = ...,
    ) -> SearchResult:
        """Search, and order what was found; ``begins`` is called before a model is asked."""
        ...


class Finding:
    """Finds what answers a turn. Thread safe; holds nothing of a turn."""

    def __init__(
        self,
        knowledge: Knowledge,
        *,
        clock: Clock,
        metrics: Metrics,
        reranking: Reranks | None = None,
        knowledge_of: KnowledgeOf | None = None,
    ) -> None:
        """``knowledge``, ``knowledge_of``: as ``Lending``."""
        self._lending = Lending(knowledge, knowledge_of)
        self._clock = clock
        self._metrics = metrics
        self._reranking = reranking

    @property
    def reranker(self) -> str:
        """Name of the model that orders what was found; "" where none does."""
        return self._reranking.name if self._reranking is not None else ""

    def whole(self, found: SearchResult) -> bool:
        """Tell whether all that finds passages answered: else they are not worth keeping."""
        ordered = self._reranking is None or found.reranker or not found.hits
        return not found.words_alone and bool(ordered)

    def found(self, turn: Answering) -> SearchResult:
        """Return what an earlier owner found, or search now and journal it."""
        known = turn.out.decided(RETRIEVAL)
        if known is not None:
            return retrieval_from_json(known)
        return self.note(turn, self.sought(turn, phase=turn.phase))

    def note(self, turn: Answering, found: SearchResult) -> SearchResult:
        """Journal what was ``sought``, so that a later owner goes on with it, and return it."""
        turn.out.decide(RETRIEVAL, retrieval_to_json(found))
        return found

    def sought(self, turn: Answering, *, phase: Callable[[str], None]) -> SearchResult:
        """Search now and write nothing of the turn, so that it may go on beside what does.

        ``phase`` is told where it is.
        """
        kb = turn.kb
        begun_s = self._clock.monotonic_s()
        phase("retrieval")
        facts = {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": kb}
        with (
            span(f"retrieval {kb}", facts) as searching,
            self.pinned(turn) as knowledge,
        ):
            found = self._searched(turn, knowledge, phase)
            searching.tell(
                {"kotaemon.generation": found.generation, "kotaemon.hits": len(found.hits)}
            )
        self._metrics.retrieval(self._clock.monotonic_s() - begun_s)
        return found

    def _searched(
        self, turn: Answering, knowledge: PinnedKnowledge, phase: Callable[[str], None]
    ) -> SearchResult:
        """Return the passages that answer, in the order of a reranker where there is one."""
        profile = turn.profile

        def search(question: str) -> SearchResult:
            if self._reranking is None:
                found = knowledge.search(question, top_k=profile.top_k, legs=profile.legs)
                return clear(found)
            reranked = self._reranking.best(
                knowledge,
                question,
                top_k=profile.top_k,
                legs=profile.legs,
                begins=lambda: phase("rerank"),
            )
            return clear(reranked)

        return searched(turn.asked, search, top_k=profile.top_k)

    @contextmanager
    def pinned(self, turn: Answering) -> Iterator[PinnedKnowledge]:
        """Lend a generation of the turn's tenant, waiting while a turn may go without progress.

        The pod was up to date when it accepted the turn; one that took it over may not be.
        """
        deadline_s = self._clock.monotonic_s() + limits.PROGRESS_TIMEOUT_S
        with ExitStack() as stack:
            while True:
                try:
                    lent = self._lending.pinned(
                        turn.kb,
                        tenant=turn.work.lease.key.session.tenant,
                        min_generation=turn.min_generation,
                    )
                    knowledge = stack.enter_context(lent)
                    break
                except KnowledgeBehind:
                    if self._clock.monotonic_s() >= deadline_s:
                        raise
                    self._clock.sleep(_BEHIND_PAUSE_S)
            yield knowledge
