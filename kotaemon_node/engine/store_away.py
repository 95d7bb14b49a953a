"""Whether the session store is worth waiting for: after it failed, one caller at a time finds out.

Each try may take seconds, so the others go on without the store until it has answered.
"""

import threading

from kotaemon_node.domain import limits
from kotaemon_node.ports.runtime import Clock


class StoreAway:
    """What one user of the store saw of it lately; true while it was seen away. Thread safe."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._try_again_s: float | None = None
        """When the next caller may try it; None: it answered."""

    def __bool__(self) -> bool:
        return self._try_again_s is not None

    def tries(self) -> bool:
        """Tell whether the caller is to try the store; it says then how that went."""
        with self._lock:
            now_s = self._clock.monotonic_s()
            if self._try_again_s is None:
                return True
            if now_s < self._try_again_s:
                return False
            self._try_again_s = now_s + limits.REDIS_TIMEOUT_S  # who tries has so much time
            return True

    def failed(self) -> None:
        """Note that it did not answer."""
        with self._lock:
            self._try_again_s = self._clock.monotonic_s() + limits.STORE_AWAY_S

    def answered(self) -> None:
        """Note that it did."""
        with self._lock:
            self._try_again_s = None
