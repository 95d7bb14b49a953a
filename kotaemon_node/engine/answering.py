"""From a message to an answer: understand, retrieve, generate, writing frames on the way.

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
from kotaemon_node.domain.knowledge import BOTH_LEGS, Hit, Leg, SearchResult
from kotaemon_node.engine.extractive import ExtractiveAnswer, extract
from kotaemon_node.engine.faq import faq_answer
from kotaemon_node.engine.journal import (
    ASKED,
    DEGRADED,
    RETRIEVAL,
    retrieval_from_json,
    retrieval_to_json,
)
from kotaemon_node.engine.profile import AnswerProfile, ProfileOf, always_default
from kotaemon_node.engine.prompt import build_prompt
from kotaemon_node.engine.rounds import Talk
from kotaemon_node.engine.tool_steps import ToolSteps
from kotaemon_node.engine.understanding import AsAsked, Asked, Understanding
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

    def search(
        self, question: str, *, top_k: int, legs: frozenset[Leg] = BOTH_LEGS
    ) -> SearchResult:
        """Return the best passages that the ``legs`` find."""
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
    unanswered: bool | None = None
    """Whether the text says that it does not know; None: whoever cites nothing does not."""
    record: dict[str, Any] = field(default_factory=dict)
    """What the steps note for the audit record: step to JSON value."""


@dataclass(frozen=True, slots=True)
class Answering:
    """One turn on its way to an answer."""

    work: Work
    out: FrameWriter
    profile: AnswerProfile
    asked: Asked
    draft: Draft
    started_s: float
    clock: Clock

    @property
    def kb(self) -> str:
        """The knowledge base that is asked."""
        return self.work.options.get("kb") or DEFAULT_KNOWLEDGE_BASE

    @property
    def min_generation(self) -> int:
        """The oldest generation that may answer."""
        asked = int(self.work.options.get("min_generation") or 0)
        return max(asked, int(self.work.session.generations.get(self.kb, 0)))

    def phase(self, name: str) -> None:
        """Show in which phase the turn is."""
        self.out.status(name, latency_s=self.clock.monotonic_s() - self.started_s)


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
        understanding: Understanding | None = None,
        profile_of: ProfileOf = always_default,
    ) -> None:
        self._knowledge = knowledge
        self._model = language_model
        self._clock = clock
        self._metrics = metrics
        self._steps = ToolSteps(toolbox, metrics=metrics)
        self._understanding = understanding or AsAsked()
        self._profile_of = profile_of

    def answer(self, work: Work, out: FrameWriter, *, started_s: float) -> Draft:
        """Write the answer of ``work`` to ``out``; ``started_s`` is when the turn began here."""
        profile = self._profile_of(work)
        asked = self._asked(work, profile, out)
        draft = Draft()
        turn = Answering(work, out, profile, asked, draft, started_s, self._clock)
        found = self._found(turn)
        draft.generations = {found.kb: found.generation}
        if (entry := faq_answer(turn.asked.search, found.hits)) is not None:
            draft.record["faq"] = entry.to_json()
            self._say(turn, found, entry.answer, phase="faq")
        elif self._model is None or profile.generator == "extractive":
            self._extract(turn, found)
        else:
            self._generate(self._model, turn, found)
        return draft

    def _asked(self, work: Work, profile: AnswerProfile, out: FrameWriter) -> Asked:
        """Return what an earlier owner understood, or understand now and journal it."""
        known = out.decided(ASKED)
        if known is not None:
            return Asked.from_json(known)
        asked = self._understanding.understand(work, profile, stop=out.stop)
        if asked.search != work.message or asked.parts:
            # What only repeats the message would cost each turn a write, and is found again.
            out.decide(ASKED, asked.to_json())
        return asked

    def _found(self, turn: Answering) -> SearchResult:
        """Return what an earlier owner found, or search now and journal it."""
        known = turn.out.decided(RETRIEVAL)
        if known is not None:
            return retrieval_from_json(known)
        kb = turn.kb
        if turn.work.lease.key.session.tenant != DEFAULT_TENANT:
            # Knowledge is one tenant's; another's turn finds none, rather than what is not its own.
            return SearchResult(kb, generation=0, digest="", hits=())
        begun_s = self._clock.monotonic_s()
        turn.phase("retrieval")
        facts = {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": kb}
        with (
            span(f"retrieval {kb}", facts) as searching,
            self._pinned(kb, min_generation=turn.min_generation) as knowledge,
        ):
            found = knowledge.search(
                turn.asked.search, top_k=turn.profile.top_k, legs=turn.profile.legs
            )
            searching.tell(
                {"kotaemon.generation": found.generation, "kotaemon.hits": len(found.hits)}
            )
        self._metrics.retrieval(self._clock.monotonic_s() - begun_s)
        turn.out.decide(RETRIEVAL, retrieval_to_json(found))
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

    def _extract(self, turn: Answering, found: SearchResult) -> None:
        answer = extract(turn.asked.search, found.hits)
        turn.draft.unanswered = not answer.known
        self._say(turn, found, answer, phase="generation")

    def _say(
        self, turn: Answering, found: SearchResult, answer: ExtractiveAnswer, *, phase: str
    ) -> None:
        if answer.cited:
            turn.out.source(citations(answer.cited, found))
        turn.phase(phase)
        for piece in answer.pieces():
            turn.out.text(piece)
        turn.out.finish()

    def _generate(self, model: LanguageModel, turn: Answering, found: SearchResult) -> None:
        """Stream from the model; where it fails, answer from the passages alone and say so."""
        work, out, draft = turn.work, turn.out, turn.draft
        draft.degraded = out.decided(DEGRADED)
        if draft.degraded:
            self._extract(turn, found)
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
        usage, asked_s = Usage(), self._clock.monotonic_s()
        try:
            Talk(model, self._steps, work, out, turn.phase).answer(prompt, usage=usage)
        except LanguageModelError as error:
            _log.warning("language_model_failed", error=str(error), trace_id=work.lease.trace_id)
            draft.degraded = error.code
            out.decide(DEGRADED, error.code)
            out.restart()
            self._extract(turn, found)
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
