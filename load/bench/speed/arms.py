"""What a measure is given, and what it gives back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from load.bench.speed.cores import Cores
from load.bench.speed.figures import Spread
from load.bench.speed.knowledge import ROOM, Knowledge, prepared
from load.bench.speed.rounds import Samples

Figures = Mapping[str, Spread | float]


@dataclass(frozen=True, slots=True)
class Context:
    """How much is measured, where, and with what."""

    cores: Cores
    models: Path
    rounds: int
    seconds: float
    """Of one arm in one round."""
    passages: int
    share: float = 1.0
    """Of streams and turns that a measure has: 1 is what the goals speak of."""
    seed: int = 1
    room: Path = ROOM
    """Where what was built is kept for the next run."""
    peers: Path | None = None
    """Folder of servers by others that are measured beside ours."""
    tell: Callable[[str], None] = print

    def knowledge(self) -> Knowledge:
        """Return the knowledge base, built where it is not there."""
        return prepared(passages=self.passages, models=self.models, room=self.room, tell=self.tell)


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure should be."""

    figure: str
    bound: float
    side: Literal["at least", "at most"]

    def met(self, value: float) -> bool:
        """Tell whether a value is on the right side."""
        return value >= self.bound if self.side == "at least" else value <= self.bound


def _goal(side: Literal["at least", "at most"], figure: str, bound: float) -> Goal:
    return Goal(figure, bound, side)


at_least = partial(_goal, "at least")
at_most = partial(_goal, "at most")


@dataclass(frozen=True, slots=True)
class Measured:
    """What came out of a measure."""

    samples: Samples
    figures: Figures
    goals: Sequence[Goal] = ()
    drawn: Sequence[tuple[str, str, str, Sequence[str]]] = ()
    """(title, figure of the samples, unit, arms) of each plot and its table."""
    notes: Sequence[str] = ()
    """What a reader of the figures has to know."""


def middle(value: Spread | float) -> float:
    """Return the figure itself."""
    return value.median if isinstance(value, Spread) else value
