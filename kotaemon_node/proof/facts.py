"""The log: one fact a line, as JSON with its ``kind``. Times are seconds of one monotonic clock.

A client writes a fact when it knows it: ``sent`` before the first byte leaves, ``acknowledged``
when something of the turn came back, ``seen`` in the order in which frames came. Facts of one
client are in order; those of different clients are compared by their times alone.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal

How = Literal["terminal", "left", "gave_up", "gone"]


@dataclass(frozen=True, slots=True)
class Sent:
    """A client sends a turn, for the first time or again."""

    at_s: float
    client: str
    session: str
    turn: str
    message: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A client that sent this message learns that the turn was accepted."""

    at_s: float
    client: str
    session: str
    turn: str
    message: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame came. ``reconnect`` and whatever else belongs to no turn is not logged."""

    at_s: float
    client: str
    session: str
    turn: str
    type: str
    seq: int | None
    """None for a ``snapshot``, which reaches to ``last``."""
    text: str = ""
    """The piece of a ``text``, the content of a ``snapshot``, the answer of a ``done``."""
    offset: int | None = None
    """Of a ``text``: code points before it."""
    last: int = 0
    sources: tuple[tuple[str, int], ...] = ()
    """Of a ``source``: knowledge base and generation of each document."""
    served_by: str | None = None

    @property
    def terminal(self) -> bool:
        """True for what ends a turn."""
        return self.seq is not None and self.type in {"done", "error"}


@dataclass(frozen=True, slots=True)
class Ended:
    """A client follows this turn no more.

    ``left``: of its own wish. ``gave_up``: it was not told how the turn ended, and it wanted to be.
    """

    at_s: float
    client: str
    session: str
    turn: str
    how: How


@dataclass(frozen=True, slots=True)
class Kept:
    """A turn as a history shows it."""

    turn: str
    message: str
    state: str
    answer: str
    version: int
    generation: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Read:
    """A history as somebody read it, whole. The last one of a run is ``final``."""

    at_s: float
    client: str
    session: str
    epoch: str
    turns: tuple[Kept, ...]
    final: bool = False
    served_by: str | None = None


@dataclass(frozen=True, slots=True)
class Gone:
    """A client is told that the store no longer knows what it saw of this session."""

    at_s: float
    client: str
    session: str


@dataclass(frozen=True, slots=True)
class Effect:
    """The world outside was changed once more under this key."""

    at_s: float
    key: str


Fact = Sent | Acknowledged | Seen | Ended | Read | Gone | Effect
KINDS: Final[Mapping[str, type[Fact]]] = {
    "sent": Sent,
    "acknowledged": Acknowledged,
    "seen": Seen,
    "ended": Ended,
    "read": Read,
    "gone": Gone,
    "effect": Effect,
}
_NAMES: Final = {kind: name for name, kind in KINDS.items()}


def as_line(fact: Fact) -> str:
    """Return the fact as a line of the log, with its end."""
    shown = {"kind": _NAMES[type(fact)], **_fields(fact)}
    if isinstance(fact, Read):
        shown["turns"] = [_fields(turn) for turn in fact.turns]
    return json.dumps(shown, ensure_ascii=False) + "\n"


def from_line(line: str) -> Fact:
    """Read a line back; ``ValueError`` where it holds no fact."""
    try:
        found = json.loads(line)
        kind = KINDS[found.pop("kind")]
        if kind is Read:
            found["turns"] = tuple(Kept(**turn) for turn in found["turns"])
        elif kind is Seen:
            found["sources"] = tuple((kb, number) for kb, number in found["sources"])
        return kind(**found)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"no fact: {line[:200]!r}") from error


def _fields(value: Fact | Kept) -> dict[str, Any]:
    return {one.name: getattr(value, one.name) for one in fields(value)}
