"""What a connection's client said aloud, waiting to be recognised in a task of its own.

Recognising may take as long as people speak, or a minute where an engine hangs: whoever hears the
connection must not wait for it. Sound is taken about as fast as it is spoken, whatever the rate at
which it comes: so much at once, then by the second. What waits is bounded; behind it, TCP waits.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, Literal

from kotaemon_node.api.voice.messages import EndSaid, StartSaid
from kotaemon_node.domain import speech_limits as limits


@dataclass(frozen=True, slots=True)
class Aloud:
    """Sound, or what begins and ends it. ``drop``: no more of what is under way."""

    said: bytes | StartSaid | EndSaid | Literal["drop"]
    trace_id: str
    fields: dict[str, Any] = field(default_factory=dict)
    """The message's."""
    seconds: float = 0.0
    """Of sound."""
    came_s: float = field(default_factory=time.monotonic)


class Ear:
    """Hears in order. ``put`` comes from one task."""

    def __init__(self, hear: Callable[[Aloud], bool], *, ended: Callable[[], None]) -> None:
        """``hear`` and, at the end, ``ended`` are called by the ear's task; False: hear no more."""
        self._hear, self._ended = hear, ended
        self._changed = threading.Condition()
        self._waiting: deque[Aloud] = deque()
        self._waiting_s = 0.0
        self._spoken_until_s = 0.0
        """When all that was taken is spoken, by the clock."""
        self._closed = self._hearing = False
        self._task: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether something waits or is being recognised."""
        return self._hearing or bool(self._waiting)

    def put(self, aloud: Aloud, timeout_s: float) -> bool:
        """Take it; False where there is no room within ``timeout_s``."""
        with self._changed:
            if not self._changed.wait_for(self._has_room, timeout_s):
                return False
            if not self._closed:
                self._waiting.append(aloud)
                self._waiting_s += aloud.seconds
                self._changed.notify_all()
            if self._task is None:
                # With the request's context: what is heard becomes a turn of its caller.
                self._task = threading.Thread(
                    target=copy_context().run, args=(self._run,), daemon=True
                )
                self._task.start()
        return True

    def close(self) -> None:
        """Hear no more; returns when the task has ended, within the patience of engines."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._task is not None:
            self._task.join(limits.SPEECH_SERVER_S_MAX)

    def _has_room(self) -> bool:
        few = len(self._waiting) < limits.SOUND_PIECES_WAITING_MAX
        return self._closed or (few and self._waiting_s < limits.SOUND_AHEAD_S)

    def _run(self) -> None:
        try:
            while (aloud := self._next()) is not None and self._hear(aloud):
                self._hearing = False
        finally:
            with self._changed:
                self._closed, self._hearing = True, False
                self._waiting.clear()
                self._changed.notify_all()
            self._ended()

    def _next(self) -> Aloud | None:
        with self._changed:
            while not self._closed:
                ahead_s = self._spoken_until_s - time.monotonic() - limits.SOUND_AHEAD_S
                if not self._waiting:
                    self._changed.wait()
                elif self._waiting[0].seconds and ahead_s > 0:
                    self._changed.wait(ahead_s)
                else:
                    return self._taken()
            return None

    def _taken(self) -> Aloud:
        aloud = self._waiting.popleft()
        self._hearing = True
        self._waiting_s -= aloud.seconds
        if not self._waiting:
            self._waiting_s = 0.0  # sums of fractions drift
        self._spoken_until_s = max(self._spoken_until_s, time.monotonic()) + aloud.seconds
        self._changed.notify_all()
        return aloud
