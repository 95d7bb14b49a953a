"""Calling the tools of a turn: each effect at most once, its outcome known or said to be unknown.

The order is the promise. What is to be called is stored before anything is sent; that a call begins
is stored, and shown, before it is sent; its result is stored with the frame that shows it, before
anything that follows from it. So an owner that takes over knows of each call whether it was begun
and how it ended, or that nobody can know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import orjson
import structlog

from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.domain.limits import TOOL_ARGUMENTS_CHARS_MAX, TOOL_RESULT_CHARS_MAX
from kotaemon_node.engine.traced import hashed
from kotaemon_node.engine.writing import FrameWriter
from kotaemon_node.ports.language_model import ToolCall
from kotaemon_node.ports.plugins import Caller
from kotaemon_node.ports.sessions import Lease, Work
from kotaemon_node.ports.tools import Effects, Toolbox, ToolFailed, ToolOutcomeUnknown, ToolSpec
from kotaemon_node.ports.traces import Facts, span
from kotaemon_node.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)

UNLISTED: Final = "unlisted"
"""Label of calls whose tool is not configured: a metric has no names that a model made up."""
_NOBODY: Final = Caller(DEFAULT_TENANT, "")
_LOST: Final = "the pod that called this was lost before the answer came"


@dataclass(frozen=True, slots=True)
class DecidedCall:
    """A call as it is journalled, with what its tool was declared to do at that time."""

    call: ToolCall
    effects: Effects | None
    """None: no such tool was offered."""

    def as_json(self) -> Mapping[str, Any]:
        """Return it as a JSON object."""
        return {**asdict(self.call), "effects": self.effects}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "DecidedCall":
        """Read ``as_json`` back."""
        call = {name: value for name, value in fields.items() if name != "effects"}
        return cls(ToolCall(**call), fields["effects"])


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended, as it is journalled."""

    state: Literal["done", "failed", "unknown"]
    told: str
    """JSON for the language model; cut off at ``TOOL_RESULT_CHARS_MAX``."""
    cut: bool = False


class ToolSteps:
    """Executes the calls that a turn decided on. Holds nothing of a turn."""

    def __init__(self, toolbox: Toolbox | None, *, metrics: Metrics) -> None:
        self._toolbox = toolbox
        self._metrics = metrics
        metrics.plugins(spec.name for spec in self.specs(_NOBODY))

    def specs(self, caller: Caller) -> Sequence[ToolSpec]:
        """Return the tools that may be called for ``caller``."""
        return self._toolbox.specs(caller) if self._toolbox is not None else ()

    def decided(self, calls: Sequence[ToolCall], work: Work) -> tuple[DecidedCall, ...]:
        """Return the calls as they are to be journalled."""
        effects = {spec.name: spec.effects for spec in self.specs(caller_of(work))}
        return tuple(DecidedCall(call, effects.get(call.name)) for call in calls)

    def run(
        self, calls: Sequence[DecidedCall], work: Work, out: FrameWriter, *, round_number: int
    ) -> tuple[Outcome, ...]:
        """Return the outcomes of one round's calls: replayed, or called now, one by one.

        The decision on them must have been given to ``out`` before.
        """
        return tuple(
            self._outcome(call, work, out, step=f"{round_number}.{place}")
            for place, call in enumerate(calls, start=1)
        )

    def all_known(
        self, calls: Sequence[DecidedCall], out: FrameWriter, *, round_number: int
    ) -> bool:
        """Tell whether an earlier owner journalled the outcome of each of these calls."""
        return out.decided(f"result:{round_number}.{len(calls)}") is not None

    def _outcome(self, decided: DecidedCall, work: Work, out: FrameWriter, *, step: str) -> Outcome:
        known = out.decided(f"result:{step}")
        if known is not None:
            return Outcome(**known)
        call = decided.call
        shown = {"name": call.name, "args": call.arguments or {}, "step": step}
        refusal = self._refusal(decided, work)
        outcome = _error("failed", refusal) if refusal else None
        if outcome is None:
            begun_before = out.decided(f"begun:{step}") is not None
            if not begun_before:
                out.decide(f"begun:{step}", True)
                out.tool_call({**shown, "state": "started"})
            outcome = self._traced(decided, work, out, step=step, again=begun_before)
        out.decide(f"result:{step}", asdict(outcome))
        out.tool_call({**shown, "state": outcome.state, "result": _result(outcome)})
        self._metrics.plugin_call(call.name if decided.effects else UNLISTED, outcome.state)
        return outcome

    def _refusal(self, decided: DecidedCall, work: Work) -> str:
        """Return why a call is not even begun, "" where it may be."""
        if decided.effects is None:
            known = ", ".join(spec.name for spec in self.specs(caller_of(work))) or "none"
            return f"there is no function {decided.call.name}; the functions are: {known}"
        if decided.call.arguments is None:
            return (
                "the arguments are no JSON object, or longer than "
                f"{TOOL_ARGUMENTS_CHARS_MAX} characters; correct them and call again"
            )
        return ""

    def _traced(
        self, decided: DecidedCall, work: Work, out: FrameWriter, *, step: str, again: bool
    ) -> Outcome:
        name = decided.call.name
        facts: Facts = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "gen_ai.tool.type": "extension",
            "kotaemon.tool.key_hash": hashed(_ledger_key(work.lease, step)),
            "kotaemon.tool.again": again,
        }
        with span(f"execute_tool {name}", facts) as calling:
            outcome = self._executed(decided, work, out, step=step, again=again)
            calling.tell({"kotaemon.tool.outcome": outcome.state})
            if outcome.state != "done":
                calling.fail(outcome.state)
        return outcome

    def _executed(
        self, decided: DecidedCall, work: Work, out: FrameWriter, *, step: str, again: bool
    ) -> Outcome:
        """Call the tool; ``again``: an owner that was lost may have called it before."""
        call = decided.call
        changes_nothing = decided.effects == "read"
        if again and decided.effects == "once":
            return _error("unknown", _LOST)
        # Only who still owns the turn gets through here, and leaves a trace of the call.
        out.drain()
        try:
            value = self._call(call, work, key=_ledger_key(work.lease, step), out=out)
        except ToolFailed as error:
            _log.info("tool_failed", tool=call.name, error=str(error))
            # A tool that was not reached now may have been reached by the owner before.
            known = error.reached or changes_nothing or not again
            return _error("failed" if known else "unknown", str(error))
        except ToolOutcomeUnknown as error:
            _log.warning("tool_outcome_unknown", tool=call.name, error=str(error))
            return _error("failed" if changes_nothing else "unknown", str(error))
        return _outcome("done", value)

    def _call(self, call: ToolCall, work: Work, *, key: str, out: FrameWriter) -> Any:
        if self._toolbox is None:
            raise ToolFailed(f"this pod has no tool {call.name}", reached=False)
        return self._toolbox.call(
            call.name, call.arguments or {}, caller=caller_of(work), key=key, stop=out.stop
        )


def caller_of(work: Work) -> Caller:
    """Return for whom the tools of a turn are called."""
    session, key = work.session, work.lease.key
    return Caller(
        tenant=key.session.tenant,
        session_id=key.session.session_id,
        turn_id=key.turn_id,
        user_id=session.user_id,
        channel=session.channel,
        context=session.context,
        slots=session.state.slots,
    )


def _ledger_key(lease: Lease, step: str) -> str:
    """Return what names an effect for ever: ids may come again, but not in the same epoch.

    That in which the turn was accepted: the session's own may be renewed while the turn runs.
    """
    session, epoch = lease.key.session, lease.accepted_in or lease.epoch
    names = (session.tenant, session.session_id, epoch, lease.key.turn_id, step)
    return ":".join(names)


def _error(state: Literal["failed", "unknown"], message: str) -> Outcome:
    if state == "unknown":
        message += "; it is not known whether it was done; do not repeat it, and say so"
    return _outcome(state, {"error": message})


def _outcome(state: Literal["done", "failed", "unknown"], value: Any) -> Outcome:
    told = orjson.dumps(value).decode()
    return Outcome(state, told[:TOOL_RESULT_CHARS_MAX], cut=len(told) > TOOL_RESULT_CHARS_MAX)


def _result(outcome: Outcome) -> Any:
    """Return the value that clients see; of one that was cut off, its beginning as text."""
    return outcome.told if outcome.cut else orjson.loads(outcome.told)
