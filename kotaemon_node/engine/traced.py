"""The span of a turn: one for its whole life, whichever pods execute it.

It is reserved when the turn is accepted and kept with the turn in the store; whoever commits the
turn ends it. So the parts of all owners hang together, also those of an owner that was killed, and
a pod that lost a turn has nothing to say about its end.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import structlog

from kotaemon_node.domain.session import SessionKey, Turn
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.sessions import Work
from kotaemon_node.ports.traces import Facts, Span, Traces, current

_RESERVED: Final = "trace"
"""Beside the options of a turn: what ``Traces.reserve`` returned."""
_NAME: Final = "invoke_agent kotaemon"
"""As the conventions of OpenTelemetry name what answers with models and tools."""


def with_trace(options: Mapping[str, Any], traces: Traces) -> Mapping[str, Any]:
    """Return the options of a turn that is about to be accepted with its span in the trace."""
    reserved = traces.reserve(current())
    return {**options, _RESERVED: reserved} if reserved else options


@contextmanager
def traced(work: Work, traces: Traces, *, clock: Clock) -> Iterator[Span]:
    """Execute ``work`` as its trace: its log lines name it, and its parts hang below its span."""
    reserved = str(work.options.get(_RESERVED, ""))
    # By the store's clock, and so only about right; but never after its parts.
    age_s = max(work.age_s, clock.now_s() - work.created_at) if reserved else 0.0
    with (
        structlog.contextvars.bound_contextvars(trace_id=work.lease.trace_id),
        traces.resume(_NAME, reserved, age_s=age_s) as turn,
    ):
        yield turn


def note_wait(work: Work, *, clock: Clock) -> None:
    """Note how long the turn waited behind others of its session, where it did."""
    if work.attempts == 1 and work.stored:  # the first owner finds a frame only of one that waited
        current().past("queued", clock.now_s() - work.created_at)


def end_turn(work: Work, turn: Turn) -> None:
    """End the span of a committed turn."""
    span = current()
    span.tell(_facts(work, turn))
    if turn.error is not None:
        span.fail(str(turn.error["code"]))
    span.end()


def _facts(work: Work, turn: Turn) -> Facts:
    facts: dict[str, str | int | float | bool] = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "kotaemon",
        "kotaemon.session.hash": session_hash(work.lease.key.session),
        "kotaemon.turn.state": turn.state.value,
        "kotaemon.turn.attempts": turn.attempts,
        "kotaemon.turn.degraded": turn.degraded or "",
    }
    if turn.usage:
        facts["gen_ai.usage.input_tokens"] = int(turn.usage.get("prompt_tokens", 0))
        facts["gen_ai.usage.output_tokens"] = int(turn.usage.get("completion_tokens", 0))
    if "first_text" in turn.timings:
        facts["kotaemon.turn.first_text_s"] = turn.timings["first_text"]
    return facts


def session_hash(key: SessionKey) -> str:
    """Return by what turns of one session are found together, by who knows its id already."""
    return hashed(f"{key.tenant}:{key.session_id}")


def hashed(name: str) -> str:
    """Return what stands for a name that a trace must not hold."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]
