"""How many clients may follow at once: a bounded number of slots per pod."""

import threading

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Overloaded
from kotaemon_node.telemetry.metrics import Metrics


class StreamSlots:
    """Counts open streams. Thread safe."""

    def __init__(self, limit: int, *, metrics: Metrics) -> None:
        self._limit = limit
        metrics.maxima(streams=limit, turns=limits.RUNNING_TURNS_PER_POD_MAX)
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
            self._metrics.streams_open(self._open)

    def give_back(self) -> None:
        """Give a slot back, once for each ``take``."""
        with self._lock:
            self._open -= 1
            self._metrics.streams_open(self._open)

    def told_to_come_back(self, *, leaving: bool) -> None:
        """Count a stream that ends with ``reconnect``."""
        self._metrics.reconnect_sent("leaving" if leaving else "error")
