"""What limits count."""

from typing import Final

from prometheus_client import Counter

from kotaemon_node.ports.use import LIMIT_NAMES
from kotaemon_node.telemetry.metric_row import MetricRow

USE_CATALOGUE: Final = (
    MetricRow(
        "kotaemon_limited_total",
        "counter",
        "Requests that were refused because a limit was reached, by the limit: requests, tokens, "
        "cost, streams, upload_bytes, credentials (too many of an address were refused).",
        ("limit",),
    ),
    MetricRow(
        "kotaemon_limits_unchecked_total",
        "counter",
        "Requests that were let in uncounted, because the store did not answer.",
    ),
)


class UseMetrics:
    """Counts in the registry of the pod. As ``Metrics``: no method raises or blocks."""

    def __init__(self, limited: Counter, unchecked: Counter) -> None:
        self._limited = limited
        self._unchecked = unchecked
        for limit in (*LIMIT_NAMES, "credentials"):
            limited.labels(limit)

    def limited(self, limit: str) -> None:
        """Count a request that was refused."""
        self._limited.labels(limit).inc()

    def unchecked(self) -> None:
        """Count a request that was let in uncounted."""
        self._unchecked.inc()
