"""What the coordinator counts of the audit log: its entries, and how the moving goes."""

from prometheus_client import CollectorRegistry, Gauge

from kotaemon_node.telemetry.audit_metrics import AuditMetrics, registered


class LeaderAuditMetrics(AuditMetrics):
    """``audit_log.writer.AuditCounts`` and ``audit_moving.MovingCounts``."""

    def __init__(self, registry: CollectorRegistry, unswept: Gauge) -> None:
        super().__init__(*registered(registry))
        self._unswept = unswept

    def audit_unswept(self, since_s: float) -> None:
        """So long ago, while this coordinator leads, every log was treated without a fault."""
        self._unswept.set(since_s)
