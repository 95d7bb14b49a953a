"""``ports.audit.AuditStore`` in Redis: a stream a tenant, and its head. The rule is a Lua script.

The id of a line in the stream is ``<chain>-<seq>``: Redis itself refuses one that does not rise.
"""

from collections.abc import Collection, Sequence
from typing import Any

from kotaemon_node.adapters.redis import audit_keys as keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.domain import audit_limits as limits
from kotaemon_node.domain.audit_chain import Head
from kotaemon_node.domain.ids import is_id
from kotaemon_node.ports.audit import Appended, StoredLine


class RedisAuditStore:
    """See the port."""

    def __init__(self, store: RedisStore, *, lines_max: int = limits.AUDIT_STORED_MAX) -> None:
        self._store = store
        self._lines_max = lines_max
        self._entered: set[str] = set()
        """Tenants that this process has put into the list of those which have a log."""

    def append(
        self, tenant: str, lines: Sequence[bytes], *, behind: Head | None, head: Head
    ) -> Appended:
        """See the port."""
        if tenant not in self._entered:
            self._store.pipelined(lambda pipe: pipe.sadd(keys.TENANTS, tenant))
            self._entered.add(tenant)
        known = (behind.chain, behind.seq, behind.hash) if behind else ("", "", "")
        outcome, *found, now_ms, newest = self._store.run(
            "audit_append",
            [keys.head(tenant), keys.lines(tenant)],
            [*known, head.chain, head.seq, head.hash, self._lines_max, *lines],
        )
        return Appended(outcome.decode(), _head(found), int(now_ms), int(newest))

    def head(self, tenant: str) -> tuple[Head | None, int]:
        """See the port."""

        def read(pipe: Any) -> None:
            pipe.hmget(keys.head(tenant), "chain", "seq", "hash")
            pipe.time()

        found, (seconds, micros) = self._store.pipelined(read)
        return _head(found), int(seconds) * 1000 + int(micros) // 1000

    def oldest(self, tenant: str, *, behind: tuple[int, int], limit: int) -> Sequence[StoredLine]:
        """See the port."""
        name = keys.lines(tenant)
        start = f"({behind[0]}-{behind[1]}"
        [rows] = self._store.pipelined(lambda pipe: pipe.xrange(name, start, "+", count=limit))
        return [_line(row) for row in rows]

    def newest(
        self, tenant: str, *, before: tuple[int, int] | None, limit: int
    ) -> Sequence[StoredLine]:
        """See the port."""
        name = keys.lines(tenant)
        start = "+" if before is None else f"({before[0]}-{before[1]}"
        [rows] = self._store.pipelined(lambda pipe: pipe.xrevrange(name, start, "-", count=limit))
        return [_line(row) for row in rows]

    def size(self, tenant: str) -> int:
        """See the port."""
        [length] = self._store.pipelined(lambda pipe: pipe.xlen(keys.lines(tenant)))
        return int(length)

    def trim(self, tenant: str, *, through: tuple[int, int]) -> None:
        """See the port."""
        name, least = keys.lines(tenant), f"{through[0]}-{through[1] + 1}"
        self._store.pipelined(lambda pipe: pipe.xtrim(name, minid=least, approximate=False))

    def put_back(
        self,
        tenant: str,
        rows: Sequence[StoredLine],
        *,
        behind: tuple[int, int] | None,
        head: Head | None,
    ) -> bool:
        """See the port."""
        self._store.pipelined(lambda pipe: pipe.sadd(keys.TENANTS, tenant))
        place = f"{behind[0]}-{behind[1]}" if behind else ""
        told = (head.chain, head.seq, head.hash) if head else ("", "", "")
        lines = [part for row in rows for part in (f"{row.chain}-{row.seq}", row.line)]
        names = [keys.head(tenant), keys.lines(tenant)]
        return bool(self._store.run("audit_put_back", names, [place, *told, *lines]))

    def exchange(self, name: str, value: bytes) -> bytes | None:
        """See the port."""
        key = keys.known(name)
        [before] = self._store.pipelined(lambda pipe: pipe.set(key, value, get=True))
        return bytes(before) if before is not None else None

    def tenants(self) -> Collection[str]:
        """See the port. Whatever else somebody put into the list is the name of no log."""
        [found] = self._store.pipelined(lambda pipe: pipe.smembers(keys.TENANTS))
        names = (name.decode("utf-8", "replace") for name in found)
        return sorted(name for name in names if is_id(name))


def _head(found: Sequence[bytes | None]) -> Head | None:
    chain, seq, made = found
    return Head(int(chain), int(seq), made.decode()) if chain and seq and made else None


def _line(row: tuple[bytes, dict[bytes, bytes]]) -> StoredLine:
    chain, _, seq = row[0].decode().partition("-")
    # Whatever somebody put there instead of a line is for the verifier to judge.
    return StoredLine(int(chain), int(seq), row[1].get(b"e", b""))
