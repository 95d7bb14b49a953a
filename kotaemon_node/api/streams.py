"""How many clients may follow at once: a bounded number of slots per pod."""

import threading

from kotaemon_node.domain.errors import Overloaded
from kotaemon_node.telemetry.metrics import Metrics


class StreamSlots:
    """Counts open streams. Thread safe."""

    def __init__(self, limit: int, *, metrics: Metrics) -> None:
        self._limit = limit
        self._metrics = metrics
        self._lock = threading.Lock()
        self._open = 0

    @property
    def open(self) -> int:
        """How many streams are open now."""
        return self._open

    def take(self) -> None:
        """Take a slot; raises ``Overloaded`` when all are taken."""
        with self._lock:
            if self._open >= self._limit:
                raise Overloaded(f"this pod has {self._limit} streams open")
            self._open += 1
        self._metrics.stream_opened()

    def give_back(self) -> None:
        """Give a slot back, once for each ``take``."""
        with self._lock:
            self._open -= 1
        self._metrics.stream_closed()
