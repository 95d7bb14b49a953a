"""What is left in Redis of a session that is archived: what names its copy, and what lists show."""

from dataclasses import dataclass
from typing import Self

import orjson

from kotaemon_node.adapters.redis.stored_text import as_bytes
from kotaemon_node.domain.session import SessionKey, SessionRow
from kotaemon_node.domain.session_copy import CopyName, SessionCopy


@dataclass(frozen=True, slots=True)
class Mark:
    """About 200 bytes. ``raw`` is compared byte for byte by the scripts."""

    name: CopyName
    created_ms: int
    principal: str
    title: bytes
    """As the session's head had it, so it may be sealed."""
    raw: bytes

    @classmethod
    def of(cls, copy: SessionCopy) -> bytes:
        """Return the mark of a session of which ``copy`` was made; the same each time."""
        name, meta = copy.name, copy.meta
        row = {
            "a": name.active_ms,
            "v": name.version,
            "e": name.epoch,
            "c": int(meta["created_ms"]),
            "p": meta["principal"],
            "t": meta.get("title", ""),
        }
        return orjson.dumps(row)

    @classmethod
    def read(cls, raw: bytes | None) -> Self | None:
        """Read ``of`` back; None where the session is not archived."""
        if raw is None or not raw.startswith(b"{"):
            return None
        row = orjson.loads(raw)
        return cls(
            CopyName(row["a"], row["v"], row["e"]), row["c"], row["p"], as_bytes(row["t"]), raw
        )

    def artifact(self, key: SessionKey) -> str:
        """Return the name of the copy."""
        return self.name.of(key)

    def row(self, session_id: str, *, title: str) -> SessionRow:
        """Return the line in the list of its principal, whose title was opened."""
        return SessionRow(
            session_id=session_id,
            created_at=self.created_ms / 1000,
            active_at=self.name.active_ms / 1000,
            version=self.name.version,
            title=title,
            archived=True,
        )
