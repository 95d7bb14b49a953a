"""What surely grew behind the middle of a run, by more than nothing: the same for every unit.

What is judged is by how much something grew in all, and no rate: the longer a run, the slower a
leak that it finds. 5 MiB are 20 MiB an hour in the second half of half an hour, and 20 MiB a day in
that of twelve hours, which is where a long run is for.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from load.soak.slopes import slope

JUDGED_S_MIN: Final = 600.0
"""In a shorter time memory that fills once, as a cache does, looks like growth."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """By how much something may grow: the larger of an amount and a share of what it is."""

    amount: float = 0.0
    share: float = 0.0


OWN_MIB: Final = Allowed(5.0)
"""Of a process: less is what an allocator keeps for itself."""
FILES: Final = Allowed(200.0)
"""Of a process: of 8,000 users a third is connected to each of three pods, 42 more or less."""
STORE: Final = Allowed(share=0.1)
"""Memory and keys of Redis, behind when sessions begin to end as fast as they come."""
LATENCY_MS: Final = Allowed(20.0, 0.25)
"""Of the 95 % of a minute."""


def grows(at_s: Sequence[float], values: Sequence[float], allowed: Allowed) -> bool:
    """Return whether all of this grew, surely and by more than is allowed."""
    found = slope(at_s, values)
    if found is None or at_s[-1] - at_s[0] < JUDGED_S_MIN:
        return False
    hours = (at_s[-1] - at_s[0]) / 3_600
    return found.low * hours > max(allowed.amount, allowed.share * statistics.median(values))
