"""Frames of a turn as typed values; what a newer cluster says besides is an ``Other``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Frame:
    """One piece of a turn's stream. ``seq`` counts 1, 2, 3…; None: it is no part of the turn."""

    seq: int | None
    turn_id: str
    trace_id: str
    raw: Mapping[str, Any]
    """The whole frame as it came."""


@dataclass(frozen=True, slots=True)
class Status(Frame):
    """What the turn does now: ``understanding``, ``retrieval``, ``generation``, ``taken_over``…"""

    phase: str
    latency: float


@dataclass(frozen=True, slots=True)
class Sources(Frame):
    """The documents that the text cites; the newest frame holds all of them."""

    docs: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class ToolCall(Frame):
    """How a call of a tool stands: ``started``, ``done``, ``failed``, ``unknown``."""

    name: str
    args: Mapping[str, Any]
    state: str
    result: Any


@dataclass(frozen=True, slots=True)
class Text(Frame):
    """A piece of the answer, and its place in it in characters."""

    content: str
    offset: int


@dataclass(frozen=True, slots=True)
class Restart(Frame):
    """The text so far is void; the answer begins anew."""


@dataclass(frozen=True, slots=True)
class Handoff(Frame):
    """A person has the session from here on, or has it no more."""

    active: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Snapshot(Frame):
    """The frames asked for are no longer kept: this is the whole answer up to frame ``last``."""

    content: str
    last: int


@dataclass(frozen=True, slots=True)
class Done(Frame):
    """The end: ``answer`` is exactly the text since the last ``Restart``."""

    state: str
    answer: str
    version: int
    usage: Mapping[str, Any]
    timings: Mapping[str, float]
    generation: Mapping[str, int]
    degraded: str | None


@dataclass(frozen=True, slots=True)
class Other(Frame):
    """A frame of a type that this client does not know; ``raw`` has it all."""

    type: str


_FIELDS: Final[Mapping[str, tuple[type[Frame], Mapping[str, Any]]]] = {
    "status": (Status, {"phase": "", "latency": 0.0}),
    "source": (Sources, {"docs": ()}),
    "tool_call": (ToolCall, {"name": "", "args": {}, "state": "", "result": None}),
    "text": (Text, {"content": "", "offset": 0}),
    "restart": (Restart, {}),
    "handoff": (Handoff, {"active": True, "reason": ""}),
    "snapshot": (Snapshot, {"content": "", "last": 0}),
    "done": (
        Done,
        {"state": "done", "answer": "", "version": 0, "usage": {}, "timings": {},
         "generation": {}, "degraded": None},
    ),
}  # fmt: skip


def frame_of(raw: Mapping[str, Any]) -> Frame:
    """Return the typed frame of a JSON object."""
    seq = raw.get("seq")
    head = (
        seq if isinstance(seq, int) else None,
        str(raw.get("turn_id", "")),
        str(raw.get("trace_id", "")),
        raw,
    )
    kind, fields = _FIELDS.get(str(raw.get("type")), (Other, {"type": ""}))
    return kind(*head, *(raw.get(name, default) for name, default in fields.items()))
