"""Answers without the session store: one question, no session, no frames, no tools, in one go.

What ``GET /ask`` falls back to while Redis is away: knowledge lies in this pod, so it can still be
asked. Nothing is kept, nothing is continued by another pod, and the answer says ``degraded``.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import structlog

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import (
    DeadlineExceeded,
    LanguageModelError,
    NotFound,
    Overloaded,
)
from kotaemon_node.domain.ids import DEFAULT_KNOWLEDGE_BASE, DEFAULT_TENANT
from kotaemon_node.domain.knowledge import SearchResult
from kotaemon_node.domain.language import language_of
from kotaemon_node.domain.session import Turn
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.citations import citations
from kotaemon_node.engine.citing import CitationGate
from kotaemon_node.engine.extractive import ExtractiveAnswer, extract
from kotaemon_node.engine.faq import faq_answer
from kotaemon_node.engine.links import LinkGate
from kotaemon_node.engine.prompt import build_prompt
from kotaemon_node.engine.rounds import BothGates, well_formed
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.engine.store_away import StoreAway
from kotaemon_node.engine.terms import FREE, ModelTerms
from kotaemon_node.engine.threshold import clear
from kotaemon_node.ports.language_model import LanguageModel, Usage
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)

STORE_UNAVAILABLE: Final = "session_store_unavailable"
"""What ``degraded`` says of these answers."""


class Searchable(Protocol):
    """What is asked; implemented by ``retrieval.library.KnowledgeLibrary``."""

    def search(self, kb: str, question: str, *, top_k: int) -> SearchResult:
        """Return the best passages; ``NotFound``."""
        ...


class DirectAnswers:
    """Answers on this pod alone. Thread safe."""

    def __init__(
        self,
        knowledge: Searchable,
        *,
        clock: Clock,
        tasks: Tasks,
        metrics: Metrics,
        owner: str = "",
        language_model: LanguageModel | None = None,
        terms: ModelTerms = FREE,
        evidence_min: float = limits.EVIDENCE_MIN,
        knowledge_of: Callable[[str], Searchable] | None = None,
    ) -> None:
        """``owner`` is the incarnation of this pod; ``knowledge`` is that of tenant ``default``.

        ``knowledge_of`` returns that of another one; None: they have none.
        """
        self._knowledge = knowledge
        self._knowledge_of = knowledge_of
        self._clock = clock
        self._tasks = tasks
        self._metrics = metrics
        self._owner = owner
        self._model = language_model
        self._terms = terms
        self._evidence_min = evidence_min
        self._free = threading.BoundedSemaphore(limits.DIRECT_ANSWERS_MAX)
        self.away = StoreAway(clock=clock)
        """What is known of the store: callers judge by it whether to come here."""

    def answer(self, question: str, *, tenant: str, trace_id: str) -> Turn:
        """Return a turn that is nowhere kept, without an id.

        Raises ``Overloaded`` where ``DIRECT_ANSWERS_MAX`` are made already, and what a search does.
        """
        if not self._free.acquire(blocking=False):
            raise Overloaded("too many questions are answered without the session store already")
        try:
            turn = self._answered(question, tenant=tenant, trace_id=trace_id)
        finally:
            self._free.release()
        self._metrics.direct_answer()
        return turn

    def _answered(self, question: str, *, tenant: str, trace_id: str) -> Turn:
        begun_s = self._clock.monotonic_s()
        found = self._found(question, tenant=tenant)
        told = faq_answer(question, found.hits)
        usage: Mapping[str, Any] = {}
        if told is None and self._model is not None:
            try:
                answer, usage = self._generated(self._model, question, found, trace_id)
                shown = citations(found.hits, found)
            except (LanguageModelError, DeadlineExceeded) as error:
                _log.warning("language_model_failed", error=str(error), trace_id=trace_id)
                answer, shown = _extracted(self._extract(question, found), found)
        else:
            quoted = self._extract(question, found) if told is None else told.answer
            answer, shown = _extracted(quoted, found)
        return Turn(
            turn_id="",
            message=question,
            state=State.DONE,
            answer=answer,
            sources=tuple(shown),
            generation={found.kb: found.generation},
            owner=self._owner,
            attempts=1,
            usage=usage,
            timings={"total": round(self._clock.monotonic_s() - begun_s, 4)},
            degraded=STORE_UNAVAILABLE,
            trace_id=trace_id,
            created_at=self._clock.now_s(),
        )

    def _found(self, question: str, *, tenant: str) -> SearchResult:
        kb = DEFAULT_KNOWLEDGE_BASE
        if tenant == DEFAULT_TENANT:
            return clear(self._knowledge.search(kb, question, top_k=limits.TOP_K_DEFAULT))
        nothing = SearchResult(kb, generation=0, digest="", hits=())
        if self._knowledge_of is None:
            return nothing
        try:
            found = self._knowledge_of(tenant).search(kb, question, top_k=limits.TOP_K_DEFAULT)
        except NotFound:
            return nothing  # a tenant need not have anything
        return clear(found)

    def _extract(self, question: str, found: SearchResult) -> ExtractiveAnswer:
        return extract(question, found.hits, evidence_min=self._evidence_min)

    def _generated(
        self, model: LanguageModel, question: str, found: SearchResult, trace_id: str
    ) -> tuple[str, Mapping[str, Any]]:
        prompt = build_prompt(
            question=question,
            hits=found.hits,
            history=(),
            summary="",
            trace_id=trace_id,
            chars_max=self._terms.prompt_chars_max,
        )
        usage = Usage()
        links = LinkGate.of(self._terms.links, prompt, language=language_of(question))
        gate = BothGates(links, CitationGate(found.hits, question=question))
        stop, over = Stop(), threading.Event()

        def limit() -> None:
            if not self._clock.wait(over, limits.DIRECT_ANSWER_S):
                stop.request(DeadlineExceeded("the language model took too long"))

        self._tasks.spawn("direct answer", limit)
        try:
            pieces = model.stream(prompt, prefix="", usage=usage, stop=stop)
            text = "".join(gate.feed(well_formed(str(piece))) for piece in pieces) + gate.finish()
            stop.check()
        finally:
            over.set()
            self._metrics.llm_tokens(usage.prompt_tokens, usage.completion_tokens)
            self._metrics.llm_cost(self._terms.cost(usage))
        return text, self._terms.told(usage)


def _extracted(
    answer: ExtractiveAnswer, found: SearchResult
) -> tuple[str, list[Mapping[str, Any]]]:
    return answer.text, citations(answer.cited, found, quotes=answer.quotes)
