"""What is counted until the next row, and what a user needs of the process of all users."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from load.soak.lines import Line, Lines

REFUSAL_BYTES: Final = 10_000
"""Of an answer that was not wanted; errors are shorter."""


@dataclass(slots=True)
class Tally:
    """As ``Row``, which says what each is."""

    asked: int = 0
    answered: int = 0
    told: int = 0
    skipped: int = 0
    cuts: int = 0
    cut_off: int = 0
    sent_away: int = 0
    reconnects: int = 0
    sessions: int = 0
    heartbeats: int = 0
    first_ms: Counter[int] = field(default_factory=Counter)
    whole_ms: Counter[int] = field(default_factory=Counter)
    lag_ms: Counter[int] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)


class Around(Protocol):
    """The process of all users."""

    lines: Lines
    tally: Tally

    def later(self, after_s: float, do: Callable[[float], None]) -> None:
        """Have something done in so long; it is told when it was due."""

    def between(self, least: float, most: float) -> float:
        """Return a chance number."""

    def opened(self) -> None:
        """One more user is connected for the first time."""


def refusal(line: Line, body: bytes) -> str:
    """Return what is counted of an answer that was not wanted, without ids."""
    try:
        code = str(json.loads(body)["error"]["code"])
    except (ValueError, KeyError, TypeError):
        code = body[:60].decode("utf-8", "replace")
    return f"{line.response.status} {code}"
