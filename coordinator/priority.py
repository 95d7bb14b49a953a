"""Chat comes first: the pods of a machine get its processors before the work of ingest."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")

# A tenth of a processor that pods use fully; all of one that they leave idle.
_NICENESS: Final = 10


def lower_this_thread() -> None:
    """Put the calling thread, and those that it starts from now on, behind the pods."""
    thread = threading.get_native_id()
    os.setpriority(os.PRIO_PROCESS, thread, _NICENESS)
    # It computes for long: it need not be woken at once, and runs in longer pieces for it.
    os.sched_setscheduler(thread, os.SCHED_BATCH, os.sched_param(0))


def made_lower(make: Callable[[], T]) -> T:
    """Return what ``make`` does; threads that it starts are behind the pods."""
    with ThreadPoolExecutor(1, initializer=lower_this_thread) as one:
        return one.submit(make).result()
