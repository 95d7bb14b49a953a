"""Who may go on with a slow document: a child is kept free of them while quick ones wait.

A reading begins as a quick one. When that time is over it needs the place of a slow one, of which
there is one less than children. Where none is free it goes on for as long as nobody waits, else it
is put off: its child ends, and it begins again when a place is free or nobody waits.
"""

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field

from coordinator.folder import FileState
from coordinator.reading.reader import Begun, Load


class PutOff(Exception):
    """A slow reading has to make room."""


@dataclass(eq=False, slots=True)
class Reading:
    """One document on its way."""

    state: FileState
    load: Load
    begun: Begun = field(default_factory=Future)
    unwanted: threading.Event = field(default_factory=threading.Event)
    was_put_off: bool = False


class Lanes:
    """The order of readings. Thread safe."""

    def __init__(self, children: int) -> None:
        self._places = max(1, children - 1)
        self._lock = threading.Lock()
        self._waiting: set[Reading] = set()
        """Begun, and not yet with a child for the first time."""
        self._placed: set[Reading] = set()
        self._put_off: deque[Reading] = deque()
        self._again: set[Reading] = set()
        """Put off before, and now with a child or on the way to one."""

    @property
    def slow(self) -> int:
        """How many readings were found to be slow."""
        with self._lock:
            return len({*self._placed, *self._put_off, *self._again})

    def enter(self, reading: Reading) -> None:
        """Note that a reading waits for its first child."""
        with self._lock:
            self._waiting.add(reading)
        reading.begun.add_done_callback(lambda _: self._left(reading))

    def start(self, reading: Reading) -> bool:
        """Note that it has one; return whether anybody still wants it."""
        with self._lock:
            self._waiting.discard(reading)
        if reading.was_put_off:
            return not reading.begun.done()
        return reading.begun.set_running_or_notify_cancel()

    def require(self, reading: Reading) -> None:
        """Let a slow reading go on, or raise ``PutOff``."""
        with self._lock:
            if reading in self._placed:
                return
            if len(self._placed) < self._places:
                self._placed.add(reading)
            elif self._waiting:
                raise PutOff

    def put_off(self, reading: Reading) -> None:
        """Have it begin again later."""
        with self._lock:
            reading.was_put_off = True
            self._put_off.append(reading)

    def leave_queue(self, reading: Reading) -> bool:
        """Take it out of those that were put off; return whether it was one."""
        with self._lock:
            if reading not in self._put_off:
                return False
            self._put_off.remove(reading)
            return True

    def finish(self, reading: Reading) -> list[Reading]:
        """Note that its child is free; return what is to begin again now."""
        with self._lock:
            self._placed.discard(reading)
            self._again.discard(reading)
            if not self._put_off or (self._waiting and len(self._placed) >= self._places):
                return []
            again = self._put_off.popleft()
            self._again.add(again)
            if len(self._placed) < self._places:
                self._placed.add(again)
            return [again]

    def _left(self, reading: Reading) -> None:
        with self._lock:
            self._waiting.discard(reading)
