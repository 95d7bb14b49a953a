"""Waiting for something that may not come: who waits is woken by it, or when its time is up.

Thousands wait at once, and nearly always their time is up: then each heartbeat would be a timer
made, kept in order and thrown away. So one task keeps the time of all, to ``_EVERY_S``.
"""

import math
import threading
from contextlib import suppress

from kotaemon_node.ports.runtime import Clock, Tasks

_EVERY_S = 0.05


class Waiter:
    """One task that waits, again and again. Any task may wake it."""

    __slots__ = ("_lock", "_time", "due_s", "placed", "waits")

    def __init__(self, time: "SharedTime | None" = None) -> None:
        """``time`` keeps its time; None: it has a timer of its own each time."""
        self._lock = threading.Lock()
        self._lock.acquire()
        self._time = time
        self.due_s = 0.0
        """When its time is up."""
        self.waits = False
        self.placed = False
        """``time`` will look at it."""

    def wait(self, timeout_s: float) -> None:
        """Return when somebody woke it since it waited last, or the time is up."""
        if self._time is None:
            self._lock.acquire(timeout=timeout_s)
            return
        self._time.wake_after(self, timeout_s)
        self._lock.acquire()
        self.waits = False

    def wake(self) -> None:
        """Let it go on; once is enough."""
        with suppress(RuntimeError):  # it was woken, and has not gone on yet
            self._lock.release()


class SharedTime:
    """Wakes waiters whose time is up: a task looks, every ``_EVERY_S``, at those who are due."""

    def __init__(self, *, clock: Clock, tasks: Tasks) -> None:
        self._clock = clock
        self._tasks = tasks
        self._lock = threading.Lock()
        self._due: dict[int, list[Waiter]] = {}
        """By the number of the look at which they are due; nobody stands in two."""
        self._next = 0
        self._running = False

    def wake_after(self, waiter: Waiter, timeout_s: float) -> None:
        """Wake ``waiter`` when this time is up, unless it waits no more by then."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            waiter.due_s, waiter.waits = now_s + timeout_s, True
            if waiter.placed:
                return  # where it stands it is placed again
            if begins := not self._running:
                self._running, self._next = True, math.floor(now_s / _EVERY_S)
            self._place(waiter)
        if begins:
            self._tasks.spawn("shared-time", self._keep)

    def _place(self, waiter: Waiter) -> None:
        waiter.placed = True
        look = max(self._next, math.ceil(waiter.due_s / _EVERY_S))
        self._due.setdefault(look, []).append(waiter)

    def _keep(self) -> None:
        try:
            while self._looked():
                with self._lock:
                    rest_s = self._next * _EVERY_S - self._clock.monotonic_s()
                self._clock.sleep(max(0.0, rest_s))
        except BaseException:
            with self._lock:
                self._running = False  # whoever waits next begins it again
            raise

    def _looked(self) -> bool:
        """Wake whose time is up; False where nobody waits any more."""
        for waiter in self._look():
            waiter.wake()
        with self._lock:
            self._running = bool(self._due)
            return self._running

    def _look(self) -> list[Waiter]:
        """Return whose time is up by now."""
        late: list[Waiter] = []
        with self._lock:
            now_s = self._clock.monotonic_s()
            until = math.floor(now_s / _EVERY_S)
            self._next = until + 1
            for look in sorted(look for look in self._due if look <= until):
                for waiter in self._due.pop(look):
                    waiter.placed = False
                    if waiter.waits and waiter.due_s > now_s:
                        self._place(waiter)
                    elif waiter.waits:
                        late.append(waiter)
        return late
