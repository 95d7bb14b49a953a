"""What the audit log counts, in pods and in the coordinator alike."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from kotaemon_node.telemetry.metric_row import MetricRow

AUDIT_CATALOGUE: Final = (
    MetricRow(
        "kotaemon_audit_entries_total",
        "counter",
        "Entries that this process wrote into the audit log.",
    ),
    MetricRow(
        "kotaemon_audit_lost_total",
        "counter",
        "Entries of the audit log that were given up: too many waited while the store was away. "
        "Each loss becomes an entry itself, once one can be written.",
    ),
    MetricRow(
        "kotaemon_audit_waiting",
        "gauge",
        "Entries of the audit log that wait to be written.",
    ),
    MetricRow(
        "kotaemon_audit_set_back_total",
        "counter",
        "Times that a tenant's audit log was less than this process had seen of it: the store was "
        "set back, or somebody cut the log off.",
    ),
)


class AuditMetrics:
    """``audit_log.writer.AuditCounts``. ``catalogue.CATALOGUE`` has the rows of pods."""

    def __init__(self, kept: Counter, lost: Counter, waiting: Gauge, set_back: Counter) -> None:
        self._kept = kept
        self._lost = lost
        self._waiting = waiting
        self._set_back = set_back

    def audit_kept(self, entries: int) -> None:
        """So many are in the log."""
        self._kept.inc(entries)

    def audit_lost(self, entries: int) -> None:
        """So many were given up."""
        self._lost.inc(entries)

    def audit_waiting(self, entries: int) -> None:
        """So many wait to be written."""
        self._waiting.set(entries)

    def audit_set_back(self) -> None:
        """A log was less than had been seen of it."""
        self._set_back.inc()


def registered(registry: CollectorRegistry) -> tuple[Counter, Counter, Gauge, Counter]:
    """Return what ``AuditMetrics`` is made of: for a program without the catalogue."""
    kept, lost, waiting, set_back = AUDIT_CATALOGUE
    return (
        Counter(kept.name, kept.meaning, registry=registry),
        Counter(lost.name, lost.meaning, registry=registry),
        Gauge(waiting.name, waiting.meaning, registry=registry),
        Counter(set_back.name, set_back.meaning, registry=registry),
    )
