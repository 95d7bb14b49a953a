"""From a question to an answer: retrieve, then generate, writing frames on the way.

One generation is pinned for the whole turn, so that the answer and its citations never mix two.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import KnowledgeBehind, LanguageModelError
from kotaemon_node.domain.ids import DEFAULT_KNOWLEDGE_BASE, DEFAULT_TENANT
from kotaemon_node.domain.knowledge import Hit, SearchResult
from kotaemon_node.engine.extractive import extract
from kotaemon_node.engine.journal import (
    DEGRADED,
    RETRIEVAL,
    retrieval_from_json,
    retrieval_to_json,
)
from kotaemon_node.engine.prompt import build_prompt
from kotaemon_node.engine.rounds import Talk
from kotaemon_node.engine.tool_steps import ToolSteps
from kotaemon_node.engine.writing import FrameWriter
from kotaemon_node.ports.language_model import LanguageModel, Usage
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.sessions import Work
from kotaemon_node.ports.tools import Toolbox
from kotaemon_node.ports.traces import span
from kotaemon_node.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)

_BEHIND_PAUSE_S = 0.2


class PinnedKnowledge(Protocol):
    """One generation of one knowledge base, for as long as it is lent."""

    def search(self, question: str, *, top_k: int) -> SearchResult:
        """Return the best passages."""
        ...


class Knowledge(Protocol):
    """Lends generations; implemented by ``retrieval.library.KnowledgeLibrary``."""

    def pinned(
        self, kb: str, *, min_generation: int = 0
    ) -> AbstractContextManager[PinnedKnowledge]:
        """Lend the generation served now; ``NotFound``, ``KnowledgeBehind`` as ``search``."""
        ...


@dataclass(slots=True)
class Draft:
    """What is known of an answer besides its text."""

    generations: Mapping[str, int] = field(default_factory=dict)
    usage: Mapping[str, Any] = field(default_factory=dict)
    degraded: str | None = None


class Answerer:
    """Answers one turn at a time; holds nothing of a turn. Thread safe."""

    def __init__(
        self,
        knowledge: Knowledge,
        *,
        language_model: LanguageModel | None,
        clock: Clock,
        metrics: Metrics,
        toolbox: Toolbox | None = None,
    ) -> None:
        self._knowledge = knowledge
        self._model = language_model
        self._clock = clock
        self._metrics = metrics
        self._steps = ToolSteps(toolbox, metrics=metrics)

    def answer(self, work: Work, out: FrameWriter, *, started_s: float) -> Draft:
        """Write the answer of ``work`` to ``out``; ``started_s`` is when the turn began here."""
        found = self._found(work, out, started_s=started_s)
        draft = Draft(generations={found.kb: found.generation})
        if self._model is None:
            self._extract(work, found, out, started_s=started_s)
        else:
            self._generate(self._model, work, found, out, draft, started_s=started_s)
        return draft

    def _found(self, work: Work, out: FrameWriter, *, started_s: float) -> SearchResult:
        """Return what an earlier owner found, or search now and journal it."""
        known = out.decided(RETRIEVAL)
        if known is not None:
            return retrieval_from_json(known)
        kb = work.options.get("kb") or DEFAULT_KNOWLEDGE_BASE
        if work.lease.key.session.tenant != DEFAULT_TENANT:
            # Knowledge is one tenant's; another's turn finds none, rather than what is not its own.
            return SearchResult(kb, generation=0, digest="", hits=())
        asked = int(work.options.get("min_generation") or 0)
        seen = int(work.session.generations.get(kb, 0))
        begun_s = self._clock.monotonic_s()
        out.status("retrieval", latency_s=begun_s - started_s)
        facts = {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": kb}
        with (
            span(f"retrieval {kb}", facts) as searching,
            self._pinned(kb, min_generation=max(asked, seen)) as knowledge,
        ):
            found = knowledge.search(work.message, top_k=limits.TOP_K_DEFAULT)
            searching.tell(
                {"kotaemon.generation": found.generation, "kotaemon.hits": len(found.hits)}
            )
        self._metrics.retrieval(self._clock.monotonic_s() - begun_s)
        out.decide(RETRIEVAL, retrieval_to_json(found))
        return found

    @contextmanager
    def _pinned(self, kb: str, *, min_generation: int) -> Iterator[PinnedKnowledge]:
        """Lend the generation, waiting for it as long as a turn may go without progress.

        The pod was up to date when it accepted the turn; one that took it over may not be.
        """
        deadline_s = self._clock.monotonic_s() + limits.PROGRESS_TIMEOUT_S
        with ExitStack() as stack:
            while True:
                try:
                    lent = self._knowledge.pinned(kb, min_generation=min_generation)
                    knowledge = stack.enter_context(lent)
                    break
                except KnowledgeBehind:
                    if self._clock.monotonic_s() >= deadline_s:
                        raise
                    self._clock.sleep(_BEHIND_PAUSE_S)
            yield knowledge

    def _extract(
        self, work: Work, found: SearchResult, out: FrameWriter, *, started_s: float
    ) -> None:
        answer = extract(work.message, found.hits)
        if answer.cited:
            out.source(citations(answer.cited, found))
        out.status("generation", latency_s=self._clock.monotonic_s() - started_s)
        for piece in answer.pieces():
            out.text(piece)
        out.finish()

    def _generate(
        self,
        model: LanguageModel,
        work: Work,
        found: SearchResult,
        out: FrameWriter,
        draft: Draft,
        *,
        started_s: float,
    ) -> None:
        """Stream from the model; where it fails, answer from the passages alone and say so."""
        draft.degraded = out.decided(DEGRADED)
        if draft.degraded:
            self._extract(work, found, out, started_s=started_s)
            return
        if found.hits:
            out.source(citations(found.hits, found))
        prompt = build_prompt(
            question=work.message,
            hits=found.hits,
            history=work.session.turns,
            summary=work.session.summary,
            trace_id=work.lease.trace_id,
            with_tools=bool(self._steps.specs()),
        )

        def phase(name: str) -> None:
            out.status(name, latency_s=self._clock.monotonic_s() - started_s)

        usage, asked_s = Usage(), self._clock.monotonic_s()
        try:
            Talk(model, self._steps, work, out, phase).answer(prompt, usage=usage)
        except LanguageModelError as error:
            _log.warning("language_model_failed", error=str(error), trace_id=work.lease.trace_id)
            draft.degraded = error.code
            out.decide(DEGRADED, error.code)
            out.restart()
            self._extract(work, found, out, started_s=started_s)
        else:
            self._metrics.llm_answered(self._clock.monotonic_s() - asked_s)
        draft.usage = {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
        }
        self._metrics.llm_tokens(usage.prompt_tokens, usage.completion_tokens)


def citations(hits: Sequence[Hit], found: SearchResult) -> list[Mapping[str, Any]]:
    """Return the ``docs`` of a ``source`` frame: hit number ``n - 1`` is cited as ``[n]``."""
    return [
        {
            "id": hit.passage.id,
            "n": place,
            "title": hit.passage.title,
            "document": hit.passage.document,
            "revision": hit.passage.revision,
            "page": hit.passage.page,
            "heading": list(hit.passage.heading),
            "span": list(hit.passage.span),
            "kb": found.kb,
            "generation": found.generation,
            "url": f"/v1/sources/{found.kb}/{found.generation}/{hit.passage.id}",
        }
        for place, hit in enumerate(hits, start=1)
    ]
