"""Calling the tools of a turn: each effect at most once, its outcome known or said to be unknown.

The order is the promise. What is to be called is stored before anything is sent; that a call begins
is stored, and shown, before it is sent; its result is stored with the frame that shows it, before
anything that follows from it. So an owner that takes over knows of each call whether it was begun
and how it ended, or that nobody can know. What is stored of a call is the ``ledger``'s to say.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Final

import structlog

from kotaemon_node.domain.acting_limits import TOOL_CALLS_AT_ONCE
from kotaemon_node.domain.arguments import problem_of
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.domain.limits import TOOL_ARGUMENTS_CHARS_MAX
from kotaemon_node.engine.alone import TOO_LONG, without_person
from kotaemon_node.engine.audited_calls import tell_call
from kotaemon_node.engine.awaiting import WAITED, Awaiting
from kotaemon_node.engine.calling import Calling
from kotaemon_node.engine.given import is_alone
from kotaemon_node.engine.ledger import (
    Claim,
    Outcome,
    caller_of,
    error_of,
    ledger_key,
    outcome_of,
)
from kotaemon_node.engine.plugin_tools import hook_spec, plugin_of
from kotaemon_node.engine.slow_calls import Behind
from kotaemon_node.engine.tool_calls import Begun, DecidedCall
from kotaemon_node.engine.writing import FrameWriter
from kotaemon_node.ports.audit import AuditLog, NoAuditLog
from kotaemon_node.ports.breakers import Breakers
from kotaemon_node.ports.language_model import ToolCall
from kotaemon_node.ports.last_good import LastGoodResults
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.ports.sessions import Work
from kotaemon_node.ports.tools import Caller, Toolbox, ToolSpec
from kotaemon_node.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)

UNLISTED: Final = "unlisted"
"""Label of calls whose tool is not configured: a metric has no names that a model made up."""
_NOBODY: Final = Caller(DEFAULT_TENANT, "")
CHANGED: Final = {"error": "another version of this was asked about", "changed": True}
"""Told of a call that is not begun, since what would carry it out is not what was asked about."""
_LATER: Final = {
    "later": "this takes longer than the answer; it goes on, and the user is told here how it ends"
}


Waiting = Callable[[DecidedCall], str]
"""Says in a sentence, for the user, that a call takes longer; "" says nothing."""


def silently(decided: DecidedCall) -> str:
    """Say nothing of a call that takes longer."""
    return ""


@dataclass(frozen=True, slots=True)
class _Step:
    """A call and its place in the turn."""

    decided: DecidedCall
    step: str

    @property
    def shown(self) -> dict[str, Any]:
        call = self.decided.call
        return {"name": call.name, "args": call.arguments or {}, "step": self.step}


class ToolSteps:
    """Executes the calls that a turn decided on. Holds nothing of a turn."""

    def __init__(
        self,
        toolbox: Toolbox | None,
        *,
        clock: Clock,
        metrics: Metrics,
        tasks: Tasks | None = None,
        breakers: Breakers | None = None,
        last_good: LastGoodResults | None = None,
        behind: Behind | None = None,
        audit: AuditLog | None = None,
    ) -> None:
        """``tasks``: None makes the calls one by one, and nobody is told that one takes long.

        ``behind`` takes calls that outlive their turn; None: no call does.
        """
        self._toolbox = toolbox
        self._clock = clock
        self._metrics = metrics
        self._behind = behind
        self._audit = audit or NoAuditLog()
        self._at_once = TOOL_CALLS_AT_ONCE if tasks is not None else 1
        self.calling = Calling(
            toolbox,
            clock=clock,
            breakers=breakers,
            last_good=last_good,
            skipped=metrics.acting.plugin_skipped,
            took=metrics.acting.plugin_call_took,
        )
        """What makes the calls; jobs behind a turn make theirs by it, too."""
        self._awaiting = Awaiting(self.calling, clock=clock, tasks=tasks, behind=behind)
        metrics.plugins(spec.name for spec in self.specs(_NOBODY))

    def specs(self, caller: Caller) -> Sequence[ToolSpec]:
        """Return the tools that may be called for ``caller``."""
        return self._toolbox.specs(caller) if self._toolbox is not None else ()

    def decided(self, calls: Sequence[ToolCall], work: Work) -> tuple[DecidedCall, ...]:
        """Return the calls as they are to be journalled."""
        effects = {spec.name: spec.effects for spec in self.specs(caller_of(work))}
        return tuple(DecidedCall(call, effects.get(call.name)) for call in calls)

    def run(
        self,
        calls: Sequence[DecidedCall],
        work: Work,
        out: FrameWriter,
        *,
        round_number: int,
        waiting: Waiting = silently,
        refused: Mapping[int, str] | None = None,
        proposed: Mapping[int, str] | None = None,
    ) -> tuple[Outcome, ...]:
        """Return the outcomes of one round's calls, in their order: replayed, or called now.

        Calls that only read are made beside each other, others one after the other. The decision on
        them must have been given to ``out`` before. Place of a call from 1, to why it is not made:
        ``refused``, to the action that waits for a yes: ``proposed``.
        """
        steps = [
            _Step(decided, f"{round_number}.{place}")
            for place, decided in enumerate(calls, start=1)
        ]
        waited = out.decided(f"{WAITED}{round_number}")
        if waited is not None:
            out.text(waited)
        reasons = {
            f"{round_number}.{place}": error_of("failed", why)
            for place, why in (refused or {}).items()
        } | {
            f"{round_number}.{place}": outcome_of("failed", {"proposed": action}, proposed=action)
            for place, action in (proposed or {}).items()
        }
        outcomes: dict[str, Outcome] = {}
        for group in _groups(steps, at_once=self._at_once):
            outcomes |= self._made(group, work, out, waiting=waiting, reasons=reasons)
        return tuple(outcomes[one.step] for one in steps)

    def all_known(
        self, calls: Sequence[DecidedCall], out: FrameWriter, *, round_number: int
    ) -> bool:
        """Tell whether an earlier owner journalled the outcome of each of these calls."""
        places = range(1, len(calls) + 1)
        return all(out.decided(f"result:{round_number}.{place}") is not None for place in places)

    def _made(
        self,
        group: Sequence[_Step],
        work: Work,
        out: FrameWriter,
        *,
        waiting: Waiting,
        reasons: Mapping[str, Outcome],
    ) -> dict[str, Outcome]:
        outcomes: dict[str, Outcome] = {}
        begun: list[Begun] = []
        for one in group:
            known = out.decided(f"result:{one.step}")
            if known is not None:
                later = out.decided(f"later:{one.step}") is not None
                outcomes[one.step] = Outcome(**known, later=later)
            elif refusal := self._refusal(one, work, out, reasons):
                outcomes[one.step] = self._ended(one, refusal, out)
                tell_call(self._audit, one.decided, work, refusal, step=one.step, begun=False)
            else:
                begun.append(self._begun(one, work, out))
        by_step = {one.step: one for one in group}
        ended_calls = self._awaiting.outcomes(
            begun, out, waiting=lambda step: waiting(by_step[step].decided)
        )
        for ended, outcome in ended_calls:
            heard = without_person(outcome) if is_alone(work) else outcome
            one = by_step[ended.step]
            outcomes[ended.step] = self._ended(one, heard, out)
            tell_call(self._audit, one.decided, work, outcome, step=one.step, begun=True)
        return outcomes

    def _ended(self, one: _Step, outcome: Outcome, out: FrameWriter) -> Outcome:
        """Note and show how a call ended, and return that."""
        if outcome.later:
            out.decide(f"later:{one.step}", True)
            outcome = outcome_of("unknown", _LATER, later=True)
        out.decide(f"result:{one.step}", outcome.as_json())
        name = plugin_of(one.decided.call.name) if one.decided.effects else UNLISTED
        if outcome.later:
            out.tool_call({**one.shown, "state": "started", "later": True})
        elif outcome.proposed:
            out.tool_call({**one.shown, "state": "proposed", "result": outcome.value})
        else:
            out.tool_call({**one.shown, "state": outcome.state, "result": outcome.value})
            self._metrics.plugin_call(name, outcome.state)
        return outcome

    def _begun(self, one: _Step, work: Work, out: FrameWriter) -> Begun:
        """Return a call that may be made, its claim and its frame written and not yet stored."""
        spec = self._spec(one.decided, caller_of(work))
        before = out.decided(f"begun:{one.step}")
        known = Claim.from_json(before)
        age_s = out.age_s
        claim = Claim.of(
            spec,
            one.decided.call.arguments or {},
            age_s=age_s,
            summary=one.decided.summary,
            later=known.later if known else spec.slow and self._behind is not None,
        )
        if before is None or spec.effects != "once":
            out.decide(f"begun:{one.step}", claim.as_json())
        if before is None:
            out.tool_call({**one.shown, "state": "started"})
        return Begun(
            step=one.step,
            spec=spec,
            arguments=one.decided.call.arguments or {},
            caller=caller_of(work),
            key=ledger_key(work.lease, one.step),
            summary=one.decided.summary,
            message=work.message,
            again=before is not None,
            later=claim.later and self._behind is not None,
            stays=is_alone(work),
            by_s=self._clock.monotonic_s() + claim.call_by_s - age_s,
        )

    def _spec(self, decided: DecidedCall, caller: Caller) -> ToolSpec:
        """Return what holds for a call; of a tool that is not here any more what is journalled."""
        name = decided.call.name
        effects = decided.effects or "once"
        specs = {spec.name: spec for spec in self.specs(caller)}
        found = specs.get(name)
        if found is None:
            found = ToolSpec(name, "", {}, effects)
            if plugin_of(name) != name:
                found = hook_spec(specs.get(plugin_of(name), found), name)
        # What is said of it now may be another version's.
        return replace(found, effects=effects)

    def _refusal(
        self, one: _Step, work: Work, out: FrameWriter, reasons: Mapping[str, Outcome]
    ) -> Outcome | None:
        """Return the outcome of a call that is not even begun, None where it may be, or was."""
        if out.decided(f"begun:{one.step}") is not None:
            return None
        wanted = one.decided.version
        if wanted and self.version_of(one.decided.call.name, work) != wanted:
            return outcome_of("failed", CHANGED)
        if problem := self._problem(one.decided, work):
            return error_of("failed", problem)
        if self._behind is not None and is_alone(work) and self._slow(one.decided, work):
            return outcome_of("failed", TOO_LONG)
        return reasons.get(one.step)

    def _slow(self, decided: DecidedCall, work: Work) -> bool:
        return self._spec(decided, caller_of(work)).slow

    def waits_for_yes(
        self, decided: DecidedCall, work: Work, out: FrameWriter, *, step: str
    ) -> bool:
        """Tell whether a call that a model chose changes something, and so is only proposed."""
        if decided.effects in {None, "read"} or out.decided(f"begun:{step}") is not None:
            return False
        spec = {it.name: it for it in self.specs(caller_of(work))}.get(decided.call.name)
        return (spec is None or spec.confirm) and not self._problem(decided, work)

    def version_of(self, name: str, work: Work) -> str:
        """Return the version of a tool as it is offered now."""
        found = {it.name: it.version for it in self.specs(caller_of(work))}
        return found.get(name, "")

    def _problem(self, decided: DecidedCall, work: Work) -> str:
        """Return what is wrong with a call itself, "" where nothing is."""
        call = decided.call
        specs = {spec.name: spec for spec in self.specs(caller_of(work))}
        if decided.effects is None:
            known = ", ".join(specs) or "none"
            return f"there is no function {call.name}; the functions are: {known}"
        if call.arguments is None:
            return (
                "the arguments are no JSON object, or longer than "
                f"{TOOL_ARGUMENTS_CHARS_MAX} characters; correct them and call again"
            )
        spec = specs.get(call.name)
        problem = problem_of(call.arguments, spec.parameters) if spec else None
        return f"{problem}; correct it and call again" if problem else ""


def _groups(steps: Sequence[_Step], *, at_once: int) -> Iterator[Sequence[_Step]]:
    """Yield calls that may be made beside each other: neighbours that only read."""
    for reads, group in groupby(steps, key=lambda one: one.decided.effects == "read"):
        together = list(group)
        size = at_once if reads else 1
        for start in range(0, len(together), size):
            yield together[start : start + size]
