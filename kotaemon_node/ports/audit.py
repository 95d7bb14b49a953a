"""What is asked of the log of acts that somebody may have to answer for."""

from typing import Protocol

from kotaemon_node.domain.audit import AuditEvent


class AuditLog(Protocol):
    """Takes acts; thread safe."""

    def record(self, event: AuditEvent) -> None:
        """Keep an act. Returns at once and raises nothing: no request fails for its entry.

        What cannot be kept, because the log cannot be reached for too long, is counted and said in
        the process's own log.
        """
        ...


class NoAuditLog:
    """Keeps nothing: for programs that have no log, and for tests of other things."""

    def record(self, event: AuditEvent) -> None:
        """See the port."""
