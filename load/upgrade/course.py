"""Which process becomes which version, one after the other, and what befalls it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from load.upgrade.programs import Name

How = Literal["restart", "kill"]
COORDINATOR = "coordinator"


@dataclass(frozen=True, slots=True)
class Step:
    """One process that comes back as another version."""

    process: str
    to: Name
    how: How
    """``restart``: it is told to leave, and hands its turns over. ``kill``: it is not."""


def course(workers: int) -> Iterator[Step]:
    """Yield the steps to the new version, back to the old one, and to the new one again.

    In the order of docs/how-to/upgrade.md: workers first on the way there, the coordinator first on
    the way back. Every second worker is killed, so that turns of each version are both handed over
    to the other one and taken over by it.
    """
    for to, odd in (("new", 1), ("old", 0), ("new", 0)):
        steps = [
            Step(f"worker-{slot}", to, "kill" if slot % 2 == odd else "restart")
            for slot in range(workers)
        ]
        last = Step(COORDINATOR, to, "restart")
        yield from [*steps, last] if to == "new" else [last, *steps]
