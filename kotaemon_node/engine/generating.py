"""The answer of a language model to one turn: asked, checked, counted and noted for the record."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import LanguageModelError
from kotaemon_node.domain.knowledge import Hit
from kotaemon_node.domain.language import language_of
from kotaemon_node.engine.acting.pending import propose
from kotaemon_node.engine.answer_draft import Answering
from kotaemon_node.engine.citing import CitationGate, Outcome, citing_of
from kotaemon_node.engine.given import Given, is_alone
from kotaemon_node.engine.ledger import caller_of
from kotaemon_node.engine.links import LinkGate
from kotaemon_node.engine.memory import MemoryRule
from kotaemon_node.engine.prompt import build_prompt
from kotaemon_node.engine.rounds import BothGates, Gate, Talk, unkept
from kotaemon_node.engine.terms import FREE, ModelTerms
from kotaemon_node.engine.tool_calls import DecidedCall
from kotaemon_node.engine.tool_steps import ToolSteps
from kotaemon_node.ports.language_model import ChatMessage, LanguageModel, Usage
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Generating:
    """Has turns answered by a language model."""

    steps: ToolSteps
    clock: Clock
    metrics: Metrics
    terms: ModelTerms = FREE

    def write(
        self,
        model: LanguageModel,
        turn: Answering,
        hits: Sequence[Hit],
        *,
        looked_up: str = "",
    ) -> None:
        """Write the answer; ``hits[n - 1]`` is cited as ``[n]``, ``looked_up`` as ``build_prompt``.

        Usage and record of the turn are filled in however it ends. Raises ``LanguageModelError``.
        """
        work = turn.work
        given = Given.of(work)
        prompt = build_prompt(
            question=work.message,
            hits=hits,
            history=MemoryRule().whole(work.session),
            summary=work.session.summary,
            trace_id=work.lease.trace_id,
            with_tools=bool(given.tools or self.steps.specs(caller_of(work))),
            looked_up=looked_up,
            wishes=given.wishes,
            chars_max=self.terms.prompt_chars_max,
        )
        prompt += given.behind(
            trace_id=work.lease.trace_id, chars_max=limits.PROMPT_TOOL_RESULTS_CHARS_MAX
        )
        sampling = {**given.sampling, **turn.profile.sampling}
        usage, outcomes, begun_s = Usage(), Counter[Outcome](), self.clock.monotonic_s()
        left_out = list[LinkGate]()

        def gate(read: Sequence[ChatMessage]) -> Gate:
            links = LinkGate.of(self.terms.links, read, language=language_of(work.message))
            left_out.append(links)
            marks = CitationGate(hits, question=turn.asked.search, outcomes=outcomes)
            return BothGates(links, marks)

        talk = Talk(
            model,
            self.steps,
            work,
            turn.out,
            turn.phase,
            gate=gate,
            sampling=sampling,
            used_up=self.terms.used_up,
            propose=None if is_alone(work) else partial(self._propose, turn),
            given=given,
        )
        noted = self._noted(model, prompt, sampling=sampling)
        turn.draft.record["generation"] = noted
        try:
            text = talk.answer(prompt, usage=usage)
            citing = citing_of(text)
            noted |= {"sentences": citing.sentences, "sentences_cited": citing.cited}
            self.metrics.llm_answered(self.clock.monotonic_s() - begun_s)
        except LanguageModelError as error:
            noted["error"] = {"code": error.code, "message": str(error)}
            raise
        finally:
            # With what understanding the question took, which was counted then.
            whole = Usage(*turn.asked.tokens)
            whole.add(Usage(*turn.draft.recognising))
            whole.add(usage)
            turn.draft.usage = self.terms.told(whole)
            turn.out.unkept = self.terms.told(unkept(usage, turn.out))
            links = sum(one.left_out for one in left_out)
            noted |= {"usage": turn.draft.usage, "marks": dict(outcomes), "links_left_out": links}
            self.metrics.links_left_out(links)
            self.metrics.llm_tokens(usage.prompt_tokens, usage.completion_tokens)
            self.metrics.llm_cost(self.terms.cost(usage))
            self.metrics.citation_marks({str(one): count for one, count in outcomes.items()})

    def _propose(self, turn: Answering, decided: DecidedCall, action: str) -> str:
        """Let what the model wants done wait for the user's yes, and return the question."""
        call, work = decided.call, turn.work
        self.metrics.acting.proposal("asked")
        return propose(
            work,
            turn.draft,
            plugin=call.name,
            arguments=call.arguments or {},
            summary=action,
            effects=decided.effects or "once",
            version=self.steps.version_of(call.name, work),
        )

    def _noted(
        self, model: LanguageModel, prompt: Sequence[ChatMessage], *, sampling: Mapping[str, float]
    ) -> dict[str, Any]:
        """Return what the record says of how the model was asked."""
        return {
            "model": model.name,
            "sampling": {**self.terms.sampling, **sampling},
            "messages": [{"role": said.role, "content": said.content} for said in prompt],
            "prompt_chars": sum(len(said.content) for said in prompt),
            "prompt_chars_max": self.terms.prompt_chars_max,
        }
