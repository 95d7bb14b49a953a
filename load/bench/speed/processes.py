"""What the kernel says of processes: who waited for a core, who had it."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil


def waited_s(pid: int) -> float:
    """Return how long the main thread of a process waited for a core: others had it."""
    return int(Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[1]) / 1e9


@contextmanager
def busy_elsewhere() -> Iterator[Mapping[str, float]]:
    """Tell which share of the machine others took while the block ran, as ``others``."""
    found: dict[str, float] = {}
    before, own, began_s = _busy_s(), _family_s(), time.perf_counter()
    yield found
    took_s = (time.perf_counter() - began_s) * (os.cpu_count() or 1)
    found["others"] = max(0.0, (_busy_s() - before - (_family_s() - own)) / took_s)


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def _family_s() -> float:
    me = psutil.Process()
    total = sum(os.times()[:4])  # children that ended are in it
    for one in me.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            total += one.cpu_times().user + one.cpu_times().system
    return total
