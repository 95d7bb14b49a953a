"""Each entry as a line of the process's own log, too: a copy that nobody who has the store has.

These are the only lines that may name a session: who reads the audit log has to find it.
"""

from typing import Final

import structlog

from kotaemon_node.domain.audit import AuditEvent
from kotaemon_node.domain.audit_chain import Head

LOGGER: Final = "audit"
_log = structlog.get_logger(LOGGER)


def show(event: AuditEvent) -> None:
    """Write an entry's line."""
    fields = {
        name: getattr(event, name)
        for name in ("subject", "role", "credential", "target", "address", "trace_id")
        if getattr(event, name)
    }
    _log.info(
        "audit",
        action=event.action,
        outcome=event.outcome,
        tenant=event.tenant,
        detail=dict(event.detail),
        **fields,
    )


def show_head(tenant: str, head: Head, entries: int) -> None:
    """Write up to where the log goes now, for people to compare with what verifies."""
    _log.info(
        "audit_head",
        tenant=tenant,
        chain=str(head.chain),
        seq=head.seq,
        hash=head.hash,
        entries=entries,
    )
