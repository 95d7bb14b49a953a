"""What the kernel tells of a plugin's process: computing, threads; and its priority."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_LOWEST: Final = 19
# Fields of /proc/<pid>/stat behind the name, which is in brackets and may hold anything.
_USER, _SYSTEM, _THREADS = 11, 12, 17


@dataclass(frozen=True, slots=True)
class Vitals:
    """Of one moment."""

    computed_s: float
    """Since the process began."""
    threads: int


def vitals_of(pid: int) -> Vitals | None:
    """Return them; None where the process has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    ticks = int(fields[_USER]) + int(fields[_SYSTEM])
    return Vitals(ticks / _TICKS_PER_S, int(fields[_THREADS]))


def step_back(pid: int) -> None:
    """Give the process, with all its threads, what others leave of the processors.

    Idle tasks give way at once to any other that wakes up; the lowest priority alone would let them
    end their slice of some milliseconds first. New threads inherit both.
    """
    with suppress(OSError):  # it has ended
        os.setpriority(os.PRIO_PGRP, pid, _LOWEST)
    for thread in _threads(pid):
        with suppress(OSError):
            os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))


def _threads(pid: int) -> list[int]:
    try:
        return [int(it) for it in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []
