"""What was tried at a door, how each case ended, and whether memory grew with their number."""

import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_MB = 1024**2
_TOLD_CHARS_MAX = 300


@dataclass(slots=True)
class Tally:
    """Cases of one door. ``ends`` counts how they ended, in words or codes."""

    kinds: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many cases there were."""
        return sum(self.kinds.values())

    def note(self, kind: str, name: str, end: str, fault: str = "") -> None:
        """Count a case of this kind; ``fault``: what must not be, empty where all is well."""
        self.kinds[kind] += 1
        self.ends[end] += 1
        if fault:
            self.faults.append(f"{kind}, {name}: {fault}"[:_TOLD_CHARS_MAX])

    def told(self) -> dict[str, Any]:
        """Return it for a results file."""
        return {
            "cases": dict(self.kinds),
            "ends": dict(self.ends.most_common()),
            "faults": list(self.faults),
        }


class Memory:
    """Resident memory of processes while cases are tried, and its slope by their number."""

    def __init__(self, held: Mapping[str, Callable[[], int]]) -> None:
        """``held``: by name of a process, what tells the bytes that it holds now."""
        self._held = held
        self._cases: list[int] = []
        self._bytes: dict[str, list[int]] = {name: [] for name in held}

    def sample(self, cases: int) -> None:
        """Look after ``cases`` cases."""
        self._cases.append(cases)
        for name, held in self._held.items():
            self._bytes[name].append(held())

    def told(self) -> dict[str, Any]:
        """Return growth and slope by process; allocators and caches fill in the first half."""
        return {
            name: {
                "first_mb": round(found[0] / _MB, 1),
                "last_mb": round(found[-1] / _MB, 1),
                "kb_per_1000_cases": round(self._slope(found) * 1000 / 1024, 1),
            }
            for name, found in self._bytes.items()
        }

    def _slope(self, found: Sequence[int]) -> float:
        half = len(found) // 2
        cases, held = self._cases[half:], found[half:]
        if len(set(cases)) < 2:
            return 0.0
        return statistics.linear_regression(cases, held).slope
