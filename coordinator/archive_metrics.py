"""What the archive of sessions counts: one table, as that of ``metrics``."""

from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Histogram

# Name, meaning, labels.
ARCHIVE_COUNTERS: Final = (
    ("kotaemon_sessions_archived_total", "Sessions moved to the artifact store.", ()),
    (
        "kotaemon_sessions_expired_total",
        "Sessions whose life ended before they were archived; they are lost.",
        (),
    ),
    (
        "kotaemon_sessions_marked_total",
        "Archived sessions that the session store had forgotten, and knows again.",
        (),
    ),
    (
        "kotaemon_archive_failures_total",
        "What could not be done: a store was away (unavailable), a session was too_large, a copy"
        " corrupt, or there was an error.",
        ("reason",),
    ),
    (
        "kotaemon_archive_copies_removed_total",
        "Copies removed: their time was over (expired), a newer one is there (replaced), or the"
        " session was deleted.",
        ("reason",),
    ),
)
ARCHIVE_SECONDS: Final = (
    "kotaemon_archive_seconds",
    "Archiving one session: reading it, writing its copy, removing it.",
)
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
_REASONS: Final = {
    "kotaemon_archive_failures_total": ("unavailable", "too_large", "corrupt", "error"),
    "kotaemon_archive_copies_removed_total": ("expired", "replaced", "deleted"),
}


class ArchiveMetrics:
    """Thread safe; registers itself with ``registry``."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counters = {
            name: Counter(name, meaning, labels, registry=registry)
            for name, meaning, labels in ARCHIVE_COUNTERS
        }
        self._seconds = Histogram(*ARCHIVE_SECONDS, registry=registry, buckets=_SECONDS)
        for name, reasons in _REASONS.items():
            for reason in reasons:
                self._counters[name].labels(reason)

    def archived(self, duration_s: float) -> None:
        """Count a session that was archived."""
        self._counters["kotaemon_sessions_archived_total"].inc()
        self._seconds.observe(duration_s)

    def expired(self) -> None:
        """Count one that came too late."""
        self._counters["kotaemon_sessions_expired_total"].inc()

    def marked(self) -> None:
        """Count one that the session store had forgotten."""
        self._counters["kotaemon_sessions_marked_total"].inc()

    def failed(self, reason: Literal["unavailable", "too_large", "corrupt", "error"]) -> None:
        """Count what could not be done."""
        self._counters["kotaemon_archive_failures_total"].labels(reason).inc()

    def removed(self, reason: Literal["expired", "replaced", "deleted"]) -> None:
        """Count a copy that was removed."""
        self._counters["kotaemon_archive_copies_removed_total"].labels(reason).inc()
