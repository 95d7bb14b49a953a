"""The newest parts of audit logs in memory, whose clock is set by hand; see ``ports.audit``.

It believes every writer: what the real one refuses, ``tests/integration/test_audit_writing.py``
shows on a real Redis.
"""

from collections.abc import Callable, Collection, Sequence

from kotaemon_node.domain.audit_chain import Entry, Head, read_line
from kotaemon_node.ports.audit import Appended, StoredLine


class MemoryAuditStore:
    """``ports.audit.AuditStore``."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self.lines: dict[str, list[bytes]] = {}
        self.heads: dict[str, Head] = {}
        self.known: dict[str, bytes] = {}
        self.full: set[str] = set()
        """Tenants whose log takes no more."""
        self.asked: list[str] = []
        """Whose logs were written to, or were to be."""
        self.limits: list[int] = []
        """How many lines were asked for, each time."""

    def append(
        self, tenant: str, lines: Sequence[bytes], *, behind: Head | None, head: Head
    ) -> Appended:
        self.asked.append(tenant)
        if tenant in self.full:
            return Appended("full", self.heads.get(tenant), self._now_ms(), head.chain)
        self.lines.setdefault(tenant, []).extend(lines)
        self.heads[tenant] = head
        return Appended("kept", head, self._now_ms(), head.chain)

    def head(self, tenant: str) -> tuple[Head | None, int]:
        return self.heads.get(tenant), self._now_ms()

    def oldest(self, tenant: str, *, behind: tuple[int, int], limit: int) -> Sequence[StoredLine]:
        self.limits.append(limit)
        return [row for row in self._rows(tenant) if (row.chain, row.seq) > behind][:limit]

    def newest(
        self, tenant: str, *, before: tuple[int, int] | None, limit: int
    ) -> Sequence[StoredLine]:
        rows = [row for row in self._rows(tenant) if not before or (row.chain, row.seq) < before]
        return rows[::-1][:limit]

    def size(self, tenant: str) -> int:
        return len(self.lines.get(tenant, []))

    def trim(self, tenant: str, *, through: tuple[int, int]) -> None:
        kept = [row.line for row in self._rows(tenant) if (row.chain, row.seq) > through]
        self.lines[tenant] = kept

    def put_back(
        self,
        tenant: str,
        rows: Sequence[StoredLine],
        *,
        behind: tuple[int, int] | None,
        head: Head | None,
    ) -> bool:
        if tenant in self.heads:
            return False
        self.lines.setdefault(tenant, []).extend(row.line for row in rows)
        if head is not None:
            self.heads[tenant] = head
        return True

    def exchange(self, name: str, value: bytes) -> bytes | None:
        before, self.known[name] = self.known.get(name), value
        return before

    def tenants(self) -> Collection[str]:
        return sorted(self.lines)

    def entries(self, tenant: str) -> list[Entry]:
        """Return what is there, read."""
        return [read_line(line) for line in self.lines.get(tenant, [])]

    def _rows(self, tenant: str) -> Sequence[StoredLine]:
        return [StoredLine(one.chain, one.seq, one.raw) for one in self.entries(tenant)]

    def _now_ms(self) -> int:
        return int(self._now_s() * 1000)
