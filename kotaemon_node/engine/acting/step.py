"""The step of a turn that acts: what is wanted is recognised, and a plugin asked or carried out.

Law 1: what is decided is journalled before anything is called, so that whoever takes the turn over
    goes on with the same call, arguments and proposal.
Law 2: what changes something is carried out only behind a yes, with exactly the arguments that were
    asked about; or at once where its operator said that no yes is needed.
Law 3: what became of a call is told as it is known: done, failed, refused, or unknown.
"""

from dataclasses import replace

from kotaemon_node.engine.acting.deciding import Deciding
from kotaemon_node.engine.acting.decision import ACTING, Decision
from kotaemon_node.engine.acting.doing import Doing, Means
from kotaemon_node.engine.answer_draft import Answering
from kotaemon_node.engine.intents import Intents
from kotaemon_node.engine.journal import RETRIEVAL
from kotaemon_node.engine.ledger import caller_of
from kotaemon_node.engine.remembering import REMEMBERED
from kotaemon_node.ports.language_model import Usage
from kotaemon_node.ports.plugins import Plugins
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.telemetry.metrics import Metrics


class Acting:
    """The step ``acting`` of a turn. Thread safe; holds nothing of a turn."""

    def __init__(
        self, plugins: Plugins, intents: Intents, *, clock: Clock, tasks: Tasks, metrics: Metrics
    ) -> None:
        self._plugins = plugins
        self._intents = intents
        self._clock = clock
        self._tasks = tasks
        self._metrics = metrics

    def answer(self, turn: Answering, means: Means) -> bool:
        """Answer ``turn`` by acting; False where its message is a question to the documents.

        Then, too, the draft may have another state of the session. Raises what calls, searches and
        writing do.
        """
        decision = self._decision(turn, means)
        if decision is None:
            return False
        turn.draft.state = decision.state
        if any(decision.tokens):
            turn.draft.recognising = decision.tokens
            spent = Usage(*turn.asked.tokens)
            spent.add(Usage(*decision.tokens))
            turn.draft.usage = means.generating.terms.told(spent)
        turn.draft.record[ACTING] = decision.noted()
        if decision.kind == "none":
            return False
        Doing(turn, means, decision, self._clock, self._tasks, self._metrics).answer()
        return True

    def _decision(self, turn: Answering, means: Means) -> Decision | None:
        """Return what an earlier owner decided, or decide now and journal it."""
        out, work = turn.out, turn.work
        known = out.decided(ACTING)
        if known is not None:
            return Decision.from_json(known)
        if any(out.decided(step) is not None for step in (RETRIEVAL, REMEMBERED)):
            return None  # an earlier owner found nothing to act by, and has answered in part
        key = work.lease.key.session
        plugins = self._plugins.offered(key.tenant, key.session_id)
        if not plugins and work.session.state.pending is None:
            return None
        tools = means.steps.specs(caller_of(work))
        deciding = Deciding(work, turn.asked, plugins, tools, self._intents, out.stop)
        decision = deciding.decision()
        tokens = (deciding.usage.prompt_tokens, deciding.usage.completion_tokens)
        if any(tokens):
            # Paid for, so told, also where nothing came of it.
            decision = replace(decision or Decision("none", work.session.state), tokens=tokens)
            self._metrics.llm_tokens(*tokens)
            self._metrics.llm_cost(means.generating.terms.cost(deciding.usage))
        if decision is not None:
            out.decide(ACTING, decision.to_json())
            self._count(decision)
        return decision

    def _count(self, decision: Decision) -> None:
        if decision.intent:
            self._metrics.acting.intent(decision.by)
        if decision.reply:
            self._metrics.acting.proposal(decision.reply)
