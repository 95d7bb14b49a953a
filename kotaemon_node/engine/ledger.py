"""The ledger of a turn's calls: what is stored of each before it is made, and what is left open.

It stands in the turn's journal, by the call's step ``round.number``:

| step         | holds                                                                           |
|--------------|---------------------------------------------------------------------------------|
| ``begun:s``  | the claim: what is called, until when it may be sent, when nothing more can come |
| ``tries:s``  | how often it was repeated by itself, where it was                                |
| ``later:s``  | it goes on behind the turn, as a job                                             |
| ``result:s`` | how it ended: done, failed, unknown                                              |

Times are ages of the turn, which the store measures: pods' clocks need not agree.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

import orjson

from kotaemon_node.domain.acting_limits import TOOL_BEGIN_S, TOOL_PATIENCE_S, TOOL_SLACK_S
from kotaemon_node.domain.limits import TOOL_RESULT_CHARS_MAX
from kotaemon_node.engine.writing import FrameWriter
from kotaemon_node.ports.sessions import Lease, Work
from kotaemon_node.ports.tools import Caller, Effects, ToolSpec

CLAIMS: Final = "begun:"

State = Literal["done", "failed", "unknown"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A call as it is stored before it is made."""

    name: str
    arguments: Mapping[str, Any]
    effects: Effects
    call_by_s: float
    """Age of the turn after which it is not sent any more."""
    over_s: float
    """Age after which no pod waits for its answer."""
    settled_s: float
    """Age after which its effect is there or will never be: only then a "no" proves something."""
    looks_up: bool = False
    summary: str = ""
    """The action in a sentence, as the user was asked; "" where nobody was."""
    later: bool = False
    """Made behind the turn."""

    @classmethod
    def of(
        cls,
        spec: ToolSpec,
        arguments: Mapping[str, Any],
        *,
        age_s: float,
        summary: str = "",
        later: bool = False,
    ) -> "Claim":
        """Return the claim of a call that is about to be made, at that age of its turn."""
        call_by_s = age_s + (TOOL_PATIENCE_S if spec.retries else TOOL_BEGIN_S)
        over_s = call_by_s + spec.timeout_s + TOOL_SLACK_S
        return cls(
            name=spec.name,
            arguments=arguments,
            effects=spec.effects,
            call_by_s=round(call_by_s, 3),
            over_s=round(over_s, 3),
            settled_s=round(over_s + spec.horizon_s, 3),
            looks_up=spec.looks_up,
            summary=summary,
            later=later,
        )

    def as_json(self) -> Mapping[str, Any]:
        """Return it as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Any) -> "Claim | None":
        """Read ``as_json`` back; None for what an older program stored."""
        if not isinstance(fields, Mapping):
            return None
        return cls(**{name: fields[name] for name in cls.__slots__ if name in fields})


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended; the first three are journalled."""

    state: State
    told: str
    """JSON for the language model; cut off at ``TOOL_RESULT_CHARS_MAX``."""
    cut: bool = False
    later: bool = False
    """It goes on behind the turn: a follow-up tells how it ends."""
    proposed: str = ""
    """It was not made: this sentence is asked of the user first."""

    def as_json(self) -> Mapping[str, Any]:
        """Return what is journalled, as pods of any version can read it."""
        return {"state": self.state, "told": self.told, "cut": self.cut}

    @property
    def value(self) -> Any:
        """What the tool told; of a result that was cut off, its beginning as text."""
        return self.told if self.cut else orjson.loads(self.told)


def outcome_of(state: State, value: Any, **marks: Any) -> Outcome:
    """Return an outcome that tells ``value``, JSON."""
    told = orjson.dumps(value).decode()
    cut = len(told) > TOOL_RESULT_CHARS_MAX
    return Outcome(state, told[:TOOL_RESULT_CHARS_MAX], cut=cut, **marks)


def error_of(state: Literal["failed", "unknown"], message: str) -> Outcome:
    """Return an outcome that tells what went wrong."""
    if state == "unknown":
        message += "; it is not known whether it was done; do not repeat it, and say so"
    return outcome_of(state, {"error": message})


def ledger_key(lease: Lease, step: str) -> str:
    """Return what names an effect for ever: ids may come again, but not in the same epoch.

    That in which the turn was accepted: the session's own may be renewed while the turn runs.
    """
    session, epoch = lease.key.session, lease.accepted_in or lease.epoch
    names = (session.tenant, session.session_id, epoch, lease.key.turn_id, step)
    return ":".join(names)


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


@dataclass(frozen=True, slots=True)
class OpenCall:
    """A call of which nobody knows what became of it."""

    step: str
    claim: Claim
    settled_in_s: float = field(default=0.0)
    over_in_s: float = field(default=0.0)


def open_calls(out: FrameWriter) -> tuple[OpenCall, ...]:
    """Return the calls of a turn that were claimed, and whose outcome is unknown as it ends.

    Those that go on behind the turn are not among them.
    """
    found = []
    for step, value in out.steps(CLAIMS):
        claim = Claim.from_json(value)
        result = out.decided(f"result:{step}")
        known = result is not None and result["state"] != "unknown"
        if claim is None or claim.later or known or out.decided(f"later:{step}"):
            continue
        age_s = out.age_s
        found.append(
            OpenCall(
                step,
                claim,
                settled_in_s=max(0.0, claim.settled_s - age_s),
                over_in_s=max(0.0, claim.over_s - age_s),
            )
        )
    return tuple(found)
