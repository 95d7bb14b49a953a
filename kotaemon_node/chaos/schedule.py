"""Which fault comes when: each of them once in a round, spread over it, with kills in between."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kotaemon_node.chaos.faults import Fault

ROUND_S: Final = 540.0
"""So long is a round of a long run: in ten minutes there is each fault."""
FILLER: Final = "kill_worker"


@dataclass(frozen=True, slots=True)
class Step:
    """A fault, and when it is due, in seconds since the beginning."""

    fault: Fault
    due_s: float


def order(seed: int, faults: Sequence[Fault], *, seconds: float) -> Iterator[Step]:
    """Yield steps for ever. Where workers are killed at all, that is done until each is due."""
    chance = random.Random(seed)
    filler = next((fault for fault in faults if fault.name == FILLER), None)
    others = [fault for fault in faults if fault is not filler]
    round_s = min(seconds, ROUND_S) if filler else 0.0
    began_s = 0.0
    while True:
        this = list(others) or [fault for fault in faults if fault is filler]
        chance.shuffle(this)
        for place, fault in enumerate(this):
            yield Step(fault, began_s + round_s * (place + 0.5) / len(this) if others else 0.0)
        began_s += round_s
