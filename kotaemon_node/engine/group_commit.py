"""Group commit: the frames of all turns of a pod go to the store in one round trip.

Nobody waits when the store is idle: the first caller flushes at once. While its round trip is under
way others line up, and the next one flushes for all of them. So the batch grows with the load, and
no timer is needed. One flush is in flight at a time; a caller flushes at most once for others.
"""

import threading
from collections.abc import Sequence

from kotaemon_node.domain.errors import NodeError
from kotaemon_node.ports.sessions import FrameBatch, FrameLog


class _Slot:
    """A batch that waits for its flush, and what became of it."""

    def __init__(self, batch: FrameBatch) -> None:
        self.batch = batch
        self.error: Exception | None = None
        self.stored = False
        self.turn = threading.Event()  # set when stored, or when this caller is to flush


class GroupCommit:
    """Appends frames durably. Thread safe."""

    def __init__(self, log: FrameLog) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._waiting: list[_Slot] = []
        self._flushing = False

    def append(self, batch: FrameBatch) -> None:
        """Return when ``batch`` is stored; raise what ``FrameLog.append`` says of it."""
        slot = _Slot(batch)
        with self._lock:
            self._waiting.append(slot)
            flush = not self._flushing
            self._flushing = True
        if not flush:
            slot.turn.wait()
        if not slot.stored:
            self._flush()
        if slot.error is not None:
            raise slot.error

    def _flush(self) -> None:
        """Store all that waits, then let the first who came meanwhile do the same."""
        with self._lock:
            slots, self._waiting = self._waiting, []
        errors: Sequence[Exception | None]
        try:
            errors = self._log.append([slot.batch for slot in slots])
        except NodeError as error:
            # Nothing is known of any of them; each caller repeats its own, which is safe.
            errors = [error] * len(slots)
        except BaseException:
            self._hand_over(slots, [RuntimeError("the flush was broken off")] * len(slots))
            raise
        self._hand_over(slots, errors)

    def _hand_over(self, slots: Sequence[_Slot], errors: Sequence[Exception | None]) -> None:
        for slot, error in zip(slots, errors, strict=True):
            slot.error, slot.stored = error, True
        with self._lock:
            following = self._waiting[0] if self._waiting else None
            self._flushing = following is not None
        for slot in slots:
            slot.turn.set()
        if following is not None:
            following.turn.set()
