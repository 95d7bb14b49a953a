"""A log of what was done that is read at once; see ``ports.audit.AuditLog``."""

from kotaemon_node.domain.audit import AuditEvent


class Acts:
    """``ports.audit.AuditLog`` in memory."""

    def __init__(self) -> None:
        self.events: list[AuditEvent] = []

    def record(self, event: AuditEvent) -> None:
        self.events.append(event)
