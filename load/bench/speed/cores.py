"""Which core serves what is measured, and which its clients and its Redis."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cores:
    """Cores by what runs there; the two share none where the machine has two."""

    served: frozenset[int]
    """One core: what is measured."""
    around: frozenset[int]
    """All others: clients, Redis, a language model that is none."""

    @property
    def apart(self) -> bool:
        """Whether clients and Redis take nothing from what is measured."""
        return not self.served & self.around

    @property
    def told(self) -> str:
        """What a results page says of it."""
        if self.apart:
            return (
                f"measured on core {_list(self.served)}, client and Redis on {_list(self.around)}"
            )
        return "one core for all: client and Redis take from what is measured"


def cores() -> Cores:
    """Divide the cores that this process may use; a single one is shared by all."""
    allowed = sorted(os.sched_getaffinity(0))
    *others, last = allowed
    return Cores(frozenset({last}), frozenset(others or allowed))


def kept_on(where: frozenset[int]) -> list[str]:
    """Return what a command begins with so that it runs on these cores, its threads too."""
    return ["taskset", "-c", _list(where)]


def move(pid: int, where: frozenset[int]) -> None:
    """Move a process that runs, with all threads it has now."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):  # it ended meanwhile
            os.sched_setaffinity(int(thread.name), where)


def _list(numbers: frozenset[int]) -> str:
    return ",".join(map(str, sorted(numbers)))
