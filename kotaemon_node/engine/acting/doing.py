"""Carrying a decision out: calls, proposals and questions, and the one answer of the turn."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from kotaemon_node.domain.dialogue import DialogueState
from kotaemon_node.domain.errors import LanguageModelError, NodeError
from kotaemon_node.domain.knowledge import SearchResult
from kotaemon_node.engine.acting.beside import SearchBeside
from kotaemon_node.engine.acting.deciding import asking
from kotaemon_node.engine.acting.decision import ACTING, Decision
from kotaemon_node.engine.acting.pending import propose
from kotaemon_node.engine.acting.results import Proposed, Said, said
from kotaemon_node.engine.acting.sentences import sentence
from kotaemon_node.engine.acting.telling import FromDocuments, from_documents, told, write
from kotaemon_node.engine.answer_draft import Answering
from kotaemon_node.engine.call_texts import PLEASE_WAIT, PLEASE_WAIT_CHANGE
from kotaemon_node.engine.citations import citations
from kotaemon_node.engine.finding import Finding
from kotaemon_node.engine.generating import Generating
from kotaemon_node.engine.given import is_alone
from kotaemon_node.engine.journal import DEGRADED, RETRIEVAL, retrieval_from_json
from kotaemon_node.engine.language import language_of_turn
from kotaemon_node.engine.ledger import Outcome
from kotaemon_node.engine.plugin_tools import USER_INPUT, hook_name
from kotaemon_node.engine.tool_calls import DecidedCall
from kotaemon_node.engine.tool_steps import ToolSteps
from kotaemon_node.ports.language_model import LanguageModel, ToolCall
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Means:
    """What a turn is answered with besides plugins; those of the ``Answerer``."""

    finding: Finding
    steps: ToolSteps
    generating: Generating
    model: LanguageModel | None


@dataclass(frozen=True, slots=True)
class Doing:
    """One turn that acts."""

    turn: Answering
    means: Means
    decision: Decision
    clock: Clock
    tasks: Tasks
    metrics: Metrics

    def answer(self) -> None:
        """Write the answer. Raises what calls, searches and writing do."""
        self.turn.draft.unanswered = False
        match self.decision.kind:
            case "hook":
                self._ask_plugin()
            case "run":
                self._carry_out(self.decision, [_run_call(self.decision)])
            case _:
                self._tell()

    def _tell(self) -> None:
        it, language = self.decision, language_of_turn(self.turn.work)
        write(self.turn, sentence(it.sentence, language, **it.words) if it.sentence else it.text)

    # Calls.

    def _carry_out(self, decision: Decision, calls: Sequence[DecidedCall]) -> None:
        """Make the last of ``calls``, to which the user said yes, or which needs none, and tell."""
        self.turn.phase("tools")
        outcome, answer = self._called(calls)
        self._keep(answer)
        write(self.turn, told(self.turn, decision, outcome, answer))

    def _ask_plugin(self) -> None:
        """Ask the plugin, and the documents beside it."""
        search = self._search() if self.decision.effects == "read" else None
        self.turn.phase("tools")
        outcome, answer = self._called([_hook_call(self.decision)])
        self._keep(answer)
        if answer.proposed is not None:
            self._propose(answer.proposed)
        elif answer.wanted:
            self._ask_user(answer)
        elif answer.too_large:
            write(self.turn, sentence("too_large", language_of_turn(self.turn.work)))
        else:
            found = self._found(search)
            explained = found is not None and found.answer is not None
            self.turn.draft.unanswered = outcome.state != "done" and not explained
            self._write(outcome, answer, found)

    def _called(self, calls: Sequence[DecidedCall]) -> tuple[Outcome, Said]:
        """Make the calls of round 0, told the slots as they are now; return how the last ended."""
        turn, language = self.turn, language_of_turn(self.turn.work)
        session = replace(turn.work.session, state=self.decision.state)

        def waiting(call: DecidedCall) -> str:
            return (PLEASE_WAIT if call.effects == "read" else PLEASE_WAIT_CHANGE)[language]

        outcome = self.means.steps.run(
            calls,
            replace(turn.work, session=session),
            turn.out,
            round_number=0,
            waiting=waiting,
        )[-1]
        turn.draft.record[ACTING] |= {"outcome": outcome.state}
        return outcome, said(outcome) if outcome.state == "done" else Said()

    def _keep(self, answer: Said) -> None:
        """Leave the session's state with what the plugin named."""
        several = answer.entities.keys() - answer.values.keys()
        state: DialogueState = self.decision.state.open_again(several).saying(answer.values)
        self.turn.draft.state = state.naming(answer.entities) if answer.entities else state

    # Questions to the user.

    def _propose(self, proposed: Proposed) -> None:
        """Ask for a yes; or do it at once where none is needed."""
        named = proposed.summary or f"{self.decision.plugin} {dict(proposed.arguments)}"
        it = replace(self.decision, kind="run", arguments=proposed.arguments, summary=named)
        if not it.confirm:
            self.turn.out.rewind()  # what the first call let the user wait by is told once
            self._carry_out(it, [_hook_call(it), _run_call(it)])
            return
        turn = self.turn
        if is_alone(turn.work):
            write(turn, sentence("not_here", language_of_turn(turn.work), summary=named))
            return
        turn.draft.record[ACTING] |= {"proposed": named}
        self.metrics.acting.proposal("asked")
        write(
            turn,
            propose(
                turn.work,
                turn.draft,
                plugin=it.plugin,
                arguments=it.arguments,
                summary=named,
                effects=it.effects,
                version=it.version,
            ),
        )

    def _ask_user(self, answer: Said) -> None:
        """Ask for the value without which the plugin cannot answer."""
        self.turn.draft.state, text = asking(
            self.turn.draft.state or self.decision.state,
            self.turn.work,
            intent=self.decision.intent,
            slot=answer.wanted,
            choices=answer.choices,
            written=answer.question,
            question=self.decision.user_input,
        )
        write(self.turn, text)

    # Documents.

    def _search(self) -> SearchBeside | SearchResult:
        known = self.turn.out.decided(RETRIEVAL)
        if known is not None:
            return retrieval_from_json(known)
        self.turn.phase("retrieval")
        return SearchBeside(
            lambda: self.means.finding.sought(self.turn, phase=lambda _: None),
            tasks=self.tasks,
            clock=self.clock,
        )

    def _found(self, search: SearchBeside | SearchResult | None) -> FromDocuments | None:
        """Return what the documents say; where they cannot be searched, the plugin is enough."""
        turn = self.turn
        if isinstance(search, SearchBeside):
            try:
                search = self.means.finding.note(turn, search.found(turn.out.stop))
            except NodeError as error:
                turn.out.stop.check()
                _log.warning("search_failed", error=str(error), trace_id=turn.work.lease.trace_id)
                turn.draft.degraded = error.code
                return None
        return from_documents(turn, search)

    # The answer.

    def _write(self, outcome: Outcome, answer: Said, found: FromDocuments | None) -> None:
        model = self.means.model
        tells = outcome.state == "done" and not answer.refusal
        if model is None or not tells or not self._generated(model, outcome, found):
            write(self.turn, told(self.turn, self.decision, outcome, answer), found)

    def _generated(
        self, model: LanguageModel, outcome: Outcome, found: FromDocuments | None
    ) -> bool:
        """Let the model write from what was looked up and found; False where it failed."""
        out, draft = self.turn.out, self.turn.draft
        given_up = out.decided(DEGRADED)
        draft.degraded = given_up or draft.degraded
        if given_up:
            return False
        hits = found.found.hits if found else ()
        if found and hits:
            out.source(citations(hits, found.found))
            draft.generations = {found.found.kb: found.found.generation}
        try:
            self.means.generating.write(model, self.turn, hits, looked_up=outcome.told)
        except LanguageModelError as error:
            _log.warning("language_model_failed", error=str(error))
            draft.degraded = error.code
            out.decide(DEGRADED, error.code)
            out.restart()
            return False
        return True


def _hook_call(decision: Decision) -> DecidedCall:
    """Return the call of a hook; it changes nothing, whatever its plugin may do."""
    name = hook_name(decision.plugin, decision.method)
    return DecidedCall(ToolCall("hook", name, {USER_INPUT: decision.user_input}), "read")


def _run_call(decision: Decision) -> DecidedCall:
    call = ToolCall("run", decision.plugin, dict(decision.arguments))
    return DecidedCall(call, decision.effects, decision.summary, decision.version)
