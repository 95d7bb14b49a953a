"""What tests of the audit log share: events, writers on a real store, and its lines."""

from collections.abc import Sequence

from kotaemon_node.adapters.redis import RedisAuditStore, connect
from kotaemon_node.adapters.system import RandomIds, SystemClock
from kotaemon_node.audit_log.writer import AuditCounts, AuditWriter
from kotaemon_node.domain.audit import AuditEvent
from kotaemon_node.domain.audit_chain import AuditKey, Entry, read_line

KEY = AuditKey.of("k" * 40)
OLD_KEY = AuditKey.of("o" * 40)
TENANT = "default"


class NoMovingCounts:
    """``coordinator.audit_moving.MovingCounts`` for tests of other things."""

    def audit_set_back(self) -> None:
        """See the protocol."""

    def audit_unswept(self, since_s: float) -> None:
        """See the protocol."""


def event(number: int = 0, *, tenant: str = TENANT, outcome: str = "done") -> AuditEvent:
    """Return an act that can be told from others."""
    return AuditEvent(
        "faq.put",
        outcome,  # type: ignore[arg-type]
        tenant,
        subject="ann",
        role="editor",
        credential="key:1",
        target=f"entry-{number}",
        detail={"number": number},
    )


def store_of(url: str) -> RedisAuditStore:
    """Return the newest parts of the logs at ``url``."""
    return RedisAuditStore(connect(url))


def writer_of(
    url: str,
    *,
    keys: Sequence[AuditKey] = (KEY,),
    counts: AuditCounts | None = None,
    waiting_max: int = 10_000,
) -> AuditWriter:
    """Return a process's writer; nothing runs beside it."""
    return AuditWriter(
        store_of(url),
        keys=lambda: keys,
        clock=SystemClock(),
        ids=RandomIds(),
        counts=counts,
        waiting_max=waiting_max,
    )


def write(url: str, count: int, *, keys: Sequence[AuditKey] = (KEY,), tenant: str = TENANT) -> None:
    """Append so many acts, in one batch."""
    writer = writer_of(url, keys=keys)
    for number in range(count):
        writer.record(event(number, tenant=tenant))
    assert writer.finish()


def entries_of(url: str, tenant: str = TENANT) -> list[Entry]:
    """Return what the store has."""
    lines = store_of(url).oldest(tenant, behind=(0, 0), limit=100_000)
    return [read_line(one.line) for one in lines]
