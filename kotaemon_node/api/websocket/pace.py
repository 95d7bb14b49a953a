"""How much a connection may be sent now: by what its client acknowledged, and by the second.

Rule 1: the rate holds for every connection. What is sent is owed, and paid back by the second;
    there is room while less than a second's worth is owed. So a long frame goes out whole, and the
    next one waits for it.
Rule 2: the window holds once the client has acknowledged something, or said that it will. There is
    room while less than the window was sent and not acknowledged. Who never acknowledges is held
    back by TCP alone.
Rule 3: a connection keeps its order: an acknowledged frame acknowledges all that was sent before.
"""

import threading
import time
from collections import deque
from collections.abc import Callable

from kotaemon_node.domain import door_limits
from kotaemon_node.domain.errors import Invalid

_BURST_S = 1.0


class Pace:
    """Room on one connection. Thread safe."""

    def __init__(
        self,
        *,
        chars_per_s: int,
        acknowledging: bool = False,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._chars_per_s = chars_per_s
        self._acknowledging = acknowledging
        self._monotonic_s = monotonic_s
        self._changed = threading.Condition()
        self._sent: deque[tuple[str, int, int]] = deque()
        """Frames that were not acknowledged: turn, number, characters."""
        self._sent_chars = 0
        self._free_at_s = 0.0
        """When all that is owed is paid back."""
        self._ended = False

    def wait(
        self,
        timeout_s: float | None = None,
        *,
        window: bool = True,
        unless: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Wait until there is room; False where there is none within ``timeout_s``, or it ended.

        ``window``: what is not numbered, and answers to the client itself, wait for the rate alone.
        ``unless``: what makes waiting pointless; whoever changes it calls ``wake``.
        """
        deadline_s = None if timeout_s is None else self._monotonic_s() + timeout_s
        with self._changed:
            while not (self._ended or unless()):
                wait_s = self._rate_wait_s()
                if wait_s <= 0 and not (window and self._full()):
                    return True
                if wait_s <= 0:
                    wait_s = threading.TIMEOUT_MAX
                if deadline_s is not None:
                    wait_s = min(wait_s, deadline_s - self._monotonic_s())
                    if wait_s <= 0:
                        return False
                self._changed.wait(wait_s)
            return False

    def sent(self, chars: int, *, turn_id: str = "", seq: int | None = None) -> None:
        """Note what was sent; ``seq``: the number of a frame, which may be acknowledged."""
        with self._changed:
            owed_from_s = max(self._free_at_s, self._monotonic_s())
            self._free_at_s = owed_from_s + chars / self._chars_per_s
            if seq is None:
                return
            self._sent.append((turn_id, seq, chars))
            self._sent_chars += chars
            # Nobody waits for more than the window to be acknowledged: who begins to do so late is
            # held to the newest.
            while len(self._sent) > door_limits.SOCKET_WINDOW_FRAMES:
                self._sent_chars -= self._sent.popleft()[2]

    def acknowledge(self, seq: int, turn_id: str | None) -> None:
        """Take all up to this frame as used; without a turn the newest frame of this number.

        What was acknowledged before changes nothing. Raises ``Invalid`` for a frame that was not
        sent, as far as that is known.
        """
        with self._changed:
            self._acknowledging = True
            for place in range(len(self._sent) - 1, -1, -1):
                turn, number, _ = self._sent[place]
                if turn_id not in {None, turn}:
                    continue
                if number == seq:
                    for _ in range(place + 1):
                        self._sent_chars -= self._sent.popleft()[2]
                    break
                if turn_id is not None and seq > number:
                    raise Invalid(f"seq: no frame {seq} of this turn was sent on this connection")
            self._changed.notify_all()

    def wake(self) -> None:
        """Have everybody who waits look whether that still has a point."""
        with self._changed:
            self._changed.notify_all()

    def end(self) -> None:
        """Wake everybody who waits: there will be no room any more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _rate_wait_s(self) -> float:
        return self._free_at_s - self._monotonic_s() - _BURST_S

    def _full(self) -> bool:
        return self._acknowledging and (
            len(self._sent) >= door_limits.SOCKET_WINDOW_FRAMES
            or self._sent_chars >= door_limits.SOCKET_WINDOW_CHARS
        )
