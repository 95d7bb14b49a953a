"""Frames: the numbered pieces of a turn's stream, the one protocol of all transports.

A stored frame has ``type, seq, turn_id, trace_id`` and the fields of its type. In the store a
frame is only its type and own fields; number, turn and trace are constant or implied, and put
back on read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

FrameType = Literal[
    "status", "source", "tool_call", "text", "restart", "handoff", "error", "done",
    "reconnect", "snapshot", "turn",
]  # fmt: skip

TERMINAL: Final = frozenset({"done", "error"})
UNSTORED: Final = frozenset({"reconnect", "snapshot", "turn"})


@dataclass(frozen=True, slots=True)
class Frame:
    """One piece of a turn's stream. ``seq`` is 1, 2, 3… in a turn, None when it is not stored."""

    type: FrameType
    fields: Mapping[str, Any]
    turn_id: str
    trace_id: str
    seq: int | None

    @property
    def terminal(self) -> bool:
        """True for the one ``done`` or ``error`` that ends a turn."""
        return self.type in TERMINAL

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON object that clients see."""
        head: dict[str, Any] = {"type": self.type}
        if self.seq is not None:
            head["seq"] = self.seq
        if self.turn_id:  # a session's stream also says what belongs to no turn
            head["turn_id"] = self.turn_id
        return {**head, "trace_id": self.trace_id, **self.fields}


@dataclass(frozen=True, slots=True)
class FrameBody:
    """A frame before it has a number: what an executor produces and the store keeps."""

    type: FrameType
    fields: Mapping[str, Any]
