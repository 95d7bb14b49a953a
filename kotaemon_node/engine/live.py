"""Turns that this pod executes now, kept in memory so that their followers here need no store.

Only frames that are stored get here: shown after stored.
"""

import math
import threading
from collections.abc import Callable, Sequence

from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.session import Turn, TurnKey
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.engine.waiting import SharedTime, Waiter
from kotaemon_node.ports.runtime import Clock, Tasks


class LiveTurn:
    """The stored frames of one running turn, and those who wait for more."""

    def __init__(self, stored: Sequence[Frame], *, fence: int) -> None:
        self.fence = fence
        self.stop = Stop()
        """Stops the execution behind it."""
        self._doubt: Callable[[], None] = lambda: None
        self._frames = list(stored)
        # No condition: under gevent telling one lets all other tasks run while it is held.
        self._lock = threading.Lock()
        self._settled = threading.Event()
        """Set when nobody who waits for the end need wait on."""
        self._over = False
        self._ended: Turn | None = None
        self._waiting: set[Waiter] = set()
        self._looked_s = -math.inf

    def on_doubt(self, ask: Callable[[], None]) -> None:
        """Have ``ask`` find out, when there is doubt, whether the turn is still this pod's."""
        self._doubt = ask

    def doubt(self) -> None:
        """Somebody says that another pod has the turn: ask the store, and stop if it is so."""
        self._doubt()

    def to_look(self, now_s: float, *, every_s: float) -> bool:
        """Tell a follower to look whether the store has more than is shown here.

        One of them does for all: thousands may follow, and each look is a read.
        """
        with self._lock:
            looks = now_s - self._looked_s >= every_s
            if looks:
                self._looked_s = now_s
            return looks

    def publish(self, frames: Sequence[Frame]) -> None:
        """Show frames that were just stored."""
        self._go_on(frames)

    def _go_on(self, frames: Sequence[Frame] = (), *, over: bool = False) -> None:
        with self._lock:
            self._frames.extend(frames)
            self._over = self._over or over
            woken, self._waiting = self._waiting, set()
        for waiter in woken:
            waiter.wake()

    def end(self, turn: Turn, frames: Sequence[Frame]) -> None:
        """Show the last frames of a turn that was just committed as ``turn``."""
        self._ended = turn
        self._go_on(frames)
        self._settled.set()

    def ended(self, *, timeout_s: float) -> Turn | None:
        """Return the turn as it was committed here; None where it was not within that time."""
        self._settled.wait(timeout_s)
        return self._ended

    def close(self) -> None:
        """Nothing more comes from this pod: the turn ended, or another pod owns it."""
        self._go_on(over=True)
        self._settled.set()

    def after(
        self, seq: int, *, timeout_s: float, waiter: Waiter | None = None
    ) -> tuple[Sequence[Frame], bool]:
        """Return the frames above ``seq``, waiting for one, and whether there will be no more.

        Who asks again and again has a ``waiter``.
        """
        with self._lock:
            if len(self._frames) > seq or self._over:
                return self._frames[seq:], self._over
            waiter = waiter or Waiter()
            self._waiting.add(waiter)
        waiter.wait(timeout_s)
        with self._lock:
            self._waiting.discard(waiter)
            return self._frames[seq:], self._over

    def shown(self) -> Sequence[Frame]:
        """Return all frames, from number 1 on."""
        with self._lock:
            return list(self._frames)

    def frame(self, seq: int) -> Frame | None:
        """Return one frame; None where there is none of that number."""
        with self._lock:
            return self._frames[seq - 1] if 0 < seq <= len(self._frames) else None

    @property
    def over(self) -> bool:
        """True when nothing more comes from here."""
        return self._over

    @property
    def last(self) -> int:
        """Number of the newest frame; frames are numbered from 1, so it is their count."""
        return len(self._frames)


class LiveTurns:
    """The running turns of this pod. Thread safe."""

    def __init__(self, *, clock: Clock | None = None, tasks: Tasks | None = None) -> None:
        """With both, one task keeps the time of all followers; else each has its own timers."""
        self.time = SharedTime(clock=clock, tasks=tasks) if clock and tasks else None
        self._lock = threading.Lock()
        self._turns: dict[TurnKey, LiveTurn] = {}

    def open(self, key: TurnKey, stored: Sequence[Frame], *, fence: int) -> LiveTurn:
        """Begin to show a turn; whoever followed it under an older lease is sent to look again.

        A lease that is itself the older one gets a turn that nobody is shown.
        """
        live = LiveTurn(stored, fence=fence)
        with self._lock:
            known = self._turns.get(key)
            newest = known is None or known.fence <= fence
            if newest:
                self._turns[key] = live
        older = known if newest else live
        if older is not None:
            older.doubt()
            older.close()
        return live

    def close(self, key: TurnKey, live: LiveTurn) -> None:
        """End it; followers that have it read it to its end."""
        with self._lock:
            if self._turns.get(key) is live:
                del self._turns[key]
        live.close()

    def get(self, key: TurnKey) -> LiveTurn | None:
        """Return the turn if this pod executes it."""
        with self._lock:
            live = self._turns.get(key)
        return None if live is None or live.over else live

    def executing(self, key: TurnKey) -> bool:
        """Tell whether a task of this pod has the turn and has not lost it."""
        with self._lock:
            live = self._turns.get(key)
        return live is not None and not live.stop.lost

    def all(self) -> Sequence[LiveTurn]:
        """Return those that run now."""
        with self._lock:
            return list(self._turns.values())

    def __len__(self) -> int:
        with self._lock:
            return len(self._turns)
