"""From a message to an answer: understand, retrieve, generate, writing frames on the way.

One generation is pinned for the whole turn, so that the answer and its citations never mix two.
"""

import structlog

from kotaemon_node.domain.errors import LanguageModelError
from kotaemon_node.domain.knowledge import SearchResult
from kotaemon_node.engine.acting.doing import Means
from kotaemon_node.engine.acting.step import Acting
from kotaemon_node.engine.answer_draft import Answering, Draft
from kotaemon_node.engine.citations import citations
from kotaemon_node.engine.courtesies import courteous
from kotaemon_node.engine.extractive import ExtractiveAnswer, extract
from kotaemon_node.engine.faq import faq_answer
from kotaemon_node.engine.finding import Finding, Reranks
from kotaemon_node.engine.generating import Generating
from kotaemon_node.engine.given import with_given
from kotaemon_node.engine.journal import ASKED, DEGRADED
from kotaemon_node.engine.ledger import caller_of
from kotaemon_node.engine.lending import Knowledge, KnowledgeOf
from kotaemon_node.engine.profile import AnswerProfile, ProfileOf, always_default
from kotaemon_node.engine.remembering import Remembering
from kotaemon_node.engine.terms import FREE, ModelTerms
from kotaemon_node.engine.tool_steps import ToolSteps
from kotaemon_node.engine.understanding import AsAsked, Asked, Understanding
from kotaemon_node.engine.writing import FrameWriter
from kotaemon_node.ports.language_model import LanguageModel, Usage
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.sessions import Work
from kotaemon_node.ports.tools import Toolbox
from kotaemon_node.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)


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
        steps: ToolSteps | None = None,
        terms: ModelTerms = FREE,
        understanding: Understanding | None = None,
        profile_of: ProfileOf = always_default,
        remembering: Remembering | None = None,
        reranking: Reranks | None = None,
        acting: Acting | None = None,
        knowledge_of: KnowledgeOf | None = None,
    ) -> None:
        """``knowledge`` is that of tenant ``default``; ``knowledge_of``: as ``Lending``."""
        self._finding = Finding(
            knowledge,
            clock=clock,
            metrics=metrics,
            reranking=reranking,
            knowledge_of=knowledge_of,
        )
        self._model = language_model
        self._clock = clock
        self._metrics = metrics
        self._steps = steps or ToolSteps(toolbox, clock=clock, metrics=metrics)
        self._generating = Generating(self._steps, clock, metrics, terms)
        self._understanding = understanding or AsAsked()
        self._profile_of = profile_of
        self._remembering = remembering
        self._acting = acting

    def answer(self, work: Work, out: FrameWriter, *, started_s: float) -> Draft:
        """Write the answer of ``work`` to ``out``; ``started_s`` is when the turn began here."""
        work = with_given(work)
        profile = self._profile_of(work)
        asked = self._asked(work, profile, out)
        draft = Draft(record=out.notes)
        if any(asked.tokens):
            draft.usage = self._generating.terms.told(Usage(*asked.tokens))
        turn = Answering(work, out, profile, asked, draft, started_s, self._clock)
        model = self._asked_model(turn)
        means = Means(self._finding, self._steps, self._generating, model)
        if self._acting is not None and self._acting.answer(turn, means):
            return draft
        if self._remembering is None:
            self._make(turn)
        else:
            self._remembering.answer(
                turn,
                # Another reranker would put other passages first.
                by=" ".join(filter(None, (model.name if model else "", self._finding.reranker))),
                tools=self._steps.specs(caller_of(work)) if model else (),
                pinned=self._finding.pinned,
                make=self._make,
                whole=self._finding.whole,
            )
        return draft

    def _asked_model(self, turn: Answering) -> LanguageModel | None:
        """Return the language model that answers; None: the passages alone do."""
        return None if turn.profile.generator == "extractive" else self._model

    def _make(self, turn: Answering) -> SearchResult:
        """Write the answer from what is found, and return that."""
        found = self._finding.found(turn)
        turn.draft.generations = {found.kb: found.generation}
        model = self._asked_model(turn)
        if (entry := faq_answer(turn.asked.search, found.hits)) is not None:
            turn.draft.record["faq"] = entry.to_json()
            self._say(turn, found, entry.answer, phase="faq")
        elif model is None:
            self._extract(turn, found)
        else:
            self._generate(model, turn, found)
        return found

    def _asked(self, work: Work, profile: AnswerProfile, out: FrameWriter) -> Asked:
        """Return what an earlier owner understood, or understand now and journal it."""
        known = out.decided(ASKED)
        if known is not None:
            return Asked.from_json(known)
        begun_s = self._clock.monotonic_s()

        def asking() -> None:
            out.status("understanding", latency_s=self._clock.monotonic_s() - begun_s)

        asked = self._understanding.understand(work, profile, stop=out.stop, asking=asking)
        if any(asked.tokens):
            self._metrics.llm_tokens(*asked.tokens)
            self._metrics.llm_cost(self._generating.terms.cost(Usage(*asked.tokens)))
        if asked.search != work.message or asked.parts or asked.by == "model":
            # What rules leave as it was would cost each turn a write, and is found again.
            out.decide(ASKED, asked.to_json())
        return asked

    def _extract(self, turn: Answering, found: SearchResult) -> None:
        if (said := courteous(turn.work.message)) is not None:
            turn.draft.unanswered = False
            turn.phase("generation")
            turn.out.text(said)
            turn.out.finish()
            return
        minimum = turn.profile.evidence_min
        answer = extract(turn.asked.search, found.hits, evidence_min=minimum)
        turn.draft.unanswered = not answer.known
        self._say(turn, found, answer, phase="generation")

    def _say(
        self, turn: Answering, found: SearchResult, answer: ExtractiveAnswer, *, phase: str
    ) -> None:
        if answer.cited:
            turn.out.source(citations(answer.cited, found, quotes=answer.quotes))
        turn.phase(phase)
        turn.out.text(answer.text)
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
        try:
            self._generating.write(model, turn, found.hits)
        except LanguageModelError as error:
            _log.warning("language_model_failed", error=str(error), trace_id=work.lease.trace_id)
            draft.degraded = error.code
            out.decide(DEGRADED, error.code)
            out.restart()
            self._extract(turn, found)
