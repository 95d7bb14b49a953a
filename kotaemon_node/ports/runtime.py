"""What the core needs of the machine it runs on: time, ids, threads that may compute."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol


class Clock(Protocol):
    """Time in seconds."""

    def now_s(self) -> float:
        """Seconds since the Unix epoch; may jump. For people to read, never to decide by."""
        ...

    def monotonic_s(self) -> float:
        """Seconds since an arbitrary start; never goes back. For durations and deadlines."""
        ...

    def sleep(self, duration_s: float) -> None:
        """Block the calling task for at least ``duration_s`` seconds; others go on."""
        ...

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Block until ``event`` is set, at most ``timeout_s`` seconds; return whether it is."""
        ...


class StopSignal(Protocol):
    """Tells work that waits for something outside that it is not wanted any more."""

    def breaking_off(self, break_off: Callable[[], None]) -> AbstractContextManager[None]:
        """While the block runs, a stop calls ``break_off``, from another task; once at most.

        Entering the block, and leaving it, after a stop raises the reason of the stop.
        """
        ...


class IdSource(Protocol):
    """Fresh identifiers."""

    def new_id(self) -> str:
        """Return an id of at least 96 random bits that satisfies ``domain.ids.checked_id``."""
        ...


class Tasks(Protocol):
    """Concurrent work inside a pod."""

    def spawn(self, name: str, work: Callable[[], None]) -> None:
        """Run ``work`` beside the caller. An exception that escapes it is logged with ``name``."""
        ...

    def compute(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Run CPU-bound ``work`` on a native thread, and wait without blocking other tasks.

        ``work`` must not touch locks, sockets or anything shared with tasks. Its exception is
        raised here. When every thread is busy the call waits its turn.
        """
        ...
