"""``ports.archive`` in Redis. The rules are ``rest``, ``archive`` and ``mark`` in ``lua/``."""

from collections.abc import Sequence
from typing import Any, Final, Literal

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.archive_mark import Mark
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.redis.store_errors import store_errors
from kotaemon_node.adapters.redis.stored_text import texts_of
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import CorruptArtifact, TooLarge
from kotaemon_node.domain.session import SessionKey
from kotaemon_node.domain.session_copy import SessionCopy
from kotaemon_node.ports.archive import Archived, IdleEntry, Look

_ROWS_AT_ONCE: Final = 200
# Of the session as it stands in Redis only.
NOT_COPIED: Final = {"running", "leaving", "copied", "restored_ms"}


class RedisColdSessions:
    """``ports.archive.ColdSessions``."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def due(self, *, rested_s: float, limit: int) -> Sequence[IdleEntry]:
        """See the port."""
        until_ms = self.now_ms() - int(rested_s * 1000)

        def fill(pipe: Any) -> None:
            for shard in range(limits.IDLE_SHARDS):
                name = keys.idle_shard(shard)
                pipe.zrangebyscore(name, "-inf", until_ms, start=0, num=limit, withscores=True)

        found = [entry for shard in self._store.pipelined(fill) for entry in shard]
        oldest = sorted(found, key=lambda entry: float(entry[1]))[:limit]
        return [
            IdleEntry(keys.idle_member(member.decode()), float(at_ms)) for member, at_ms in oldest
        ]

    def look(self, key: SessionKey, *, rested_s: float) -> Look:
        """See the port."""
        verdict, *more = self._store.run("rest", SessionKeys.of(key).head(), [int(rested_s * 1000)])
        match verdict.decode():
            case "active":
                return Look("active", since_ms=int(more[0]))
            case "rests":
                return Look("rests", copied=more[0] == b"copied")
            case other:
                return Look(other)

    def copy(self, key: SessionKey) -> SessionCopy | None:
        """See the port."""
        names = SessionKeys.of(key)

        def fill(pipe: Any) -> None:
            for name in (names.meta, names.seen, names.past, names.feedback):
                pipe.hgetall(name)

        meta, seen, past, said = map(texts_of, self._store.pipelined(fill))
        if not meta:
            return None
        kept = {name: value for name, value in meta.items() if name not in NOT_COPIED}
        rows = history_rows(self._store, names, int(meta["version"]))
        copy = SessionCopy(key, kept, rows, seen, past, said)
        if not copy.whole:
            raise CorruptArtifact("the history of a session is not the one of its version and hash")
        return copy

    def archive(self, copy: SessionCopy, *, rested_s: float, kept_s: float) -> Archived:
        """See the port."""
        meta, name = copy.meta, copy.name
        arguments = [
            name.epoch,
            name.version,
            meta["fence"],
            name.active_ms,
            int(rested_s * 1000),
            Mark.of(copy),
            name.active_ms + int(kept_s * 1000),
        ]
        reply: Archived = self._store.run(
            "archive", SessionKeys.of(copy.key).head(), arguments
        ).decode()
        return reply

    def mark(
        self, copy: SessionCopy, *, kept_s: float
    ) -> Literal["marked", "live", "kept", "ended"]:
        """See the port."""
        ends_ms = copy.name.active_ms + int(kept_s * 1000)
        arguments = [copy.name.epoch, Mark.of(copy), ends_ms, *copy.past]
        reply: Literal["marked", "live", "kept", "ended"] = self._store.run(
            "mark", SessionKeys.of(copy.key).resting(), arguments
        ).decode()
        return reply

    def purged(self, key: SessionKey) -> None:
        """See the port."""
        self._store.run("purged", [SessionKeys.of(key).meta], [])

    def settle(self, entry: IdleEntry, *, again_at_ms: float | None) -> None:
        """See the port."""
        shard, member = keys.idle(entry.key)
        again = "" if again_at_ms is None else int(again_at_ms)
        self._store.run("reindex", [shard], [member, int(entry.at_ms), again])

    def now_ms(self) -> int:
        """See the port."""
        [(seconds, micros)] = self._store.pipelined(lambda pipe: pipe.time())
        return int(seconds) * 1000 + int(micros) // 1000


def history_rows(store: RedisStore, names: SessionKeys, version: int) -> tuple[bytes, ...]:
    """Read the history a part at a time: it only grows, and one read would hold up others."""
    rows: list[bytes] = []
    size_bytes = 0
    for first in range(0, version, _ROWS_AT_ONCE):
        last = min(first + _ROWS_AT_ONCE, version) - 1
        with store_errors():
            part = store.client.lrange(names.turns, first, last)
        size_bytes += sum(map(len, part))
        if size_bytes > limits.ARCHIVED_SESSION_BYTES_MAX:
            raise TooLarge(f"a session of more than {limits.ARCHIVED_SESSION_BYTES_MAX} bytes")
        rows += part
    return tuple(rows)
