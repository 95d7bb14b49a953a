"""A principal's sessions by their last activity. A list to show; the sessions are the truth."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.archive_mark import Mark
from kotaemon_node.adapters.redis.connection import RedisStore, store_errors
from kotaemon_node.adapters.redis.idle import IdleSessions
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.domain import limits
from kotaemon_node.domain.session import Principal, SessionKey, SessionRow

_FIELDS: Final = ("created_ms", "active_ms", "version", "title")


class SessionList:
    """One sorted set a principal, bounded; what expired leaves it when it is looked at."""

    def __init__(self, store: RedisStore, *, ttl_s: int, idle: IdleSessions | None = None) -> None:
        """``idle``: the index that is kept beside it, where sessions are archived."""
        self._store = store
        self._ttl_s = ttl_s
        self._idle = idle

    def page(self, principal: Principal, *, offset: int, limit: int) -> Sequence[SessionRow]:
        """See ``SessionStore.list``."""
        index = keys.sessions_of(principal.tenant, principal.subject)
        rows, gone = self._listed(index, principal, offset=offset, limit=limit)
        while gone:
            # What expired leaves the list, and what stood behind it moves up into the page.
            with store_errors():
                self._store.client.zrem(index, *gone)
            rows, gone = self._listed(index, principal, offset=offset, limit=limit)
        return rows

    def _listed(
        self, index: str, principal: Principal, *, offset: int, limit: int
    ) -> tuple[Sequence[SessionRow], Sequence[str]]:
        """Return a page of the list and the ids in it whose sessions are gone."""
        with store_errors():
            ids = self._store.client.zrevrange(index, offset, offset + limit - 1)
        found = [identifier.decode() for identifier in ids]

        def fill(pipe: Any) -> None:
            for session_id in found:
                names = SessionKeys.of(SessionKey(principal.tenant, session_id))
                pipe.hmget(names.meta, *_FIELDS)

        heads = self._store.pipelined(fill, confirmed=True) if found else []
        rows = {
            sid: row for sid, head in zip(found, heads, strict=True) if (row := _row(sid, head))
        }
        absent = [session_id for session_id in found if session_id not in rows]
        rows |= self._archived(principal.tenant, absent)
        gone = [session_id for session_id in found if session_id not in rows]
        return [rows[session_id] for session_id in found if session_id in rows], gone

    def _archived(self, tenant: str, ids: Sequence[str]) -> Mapping[str, SessionRow]:
        """Return the rows of those that are archived, or came back just now, by their ids."""

        def fill(pipe: Any) -> None:
            for session_id in ids:
                names = SessionKeys.of(SessionKey(tenant, session_id))
                pipe.get(names.archived)
                pipe.hmget(names.meta, *_FIELDS)

        replies = self._store.pipelined(fill, confirmed=True) if ids else []
        found = zip(ids, map(Mark.read, replies[::2]), replies[1::2], strict=True)
        rows = {sid: mark.row(sid) if mark else _row(sid, head) for sid, mark, head in found}
        return {session_id: row for session_id, row in rows.items() if row}

    def note(self, key: SessionKey, subject: str) -> None:
        """Put the session where its last activity belongs; one that is gone is left out."""
        index = keys.sessions_of(key.tenant, subject)

        def fill(pipe: Any) -> None:
            pipe.hget(SessionKeys.of(key).meta, "active_ms")
            pipe.zremrangebyrank(index, 0, -limits.SESSIONS_INDEX_MAX - 1)

        active_ms = self._store.pipelined(fill)[0]
        if active_ms is None:
            return

        def fill_indexes(pipe: Any) -> None:
            pipe.zadd(index, {key.session_id: int(active_ms)})
            pipe.expire(index, self._ttl_s)
            if self._idle is not None:
                self._idle.fill(pipe, key, at_ms=int(active_ms))

        self._store.pipelined(fill_indexes)

    def remove(self, key: SessionKey, subject: str) -> None:
        """Take a deleted session out."""
        with store_errors():
            self._store.client.zrem(keys.sessions_of(key.tenant, subject), key.session_id)


def _row(session_id: str, head: Sequence[bytes | None]) -> SessionRow | None:
    """Return the line of a session, None where it is not there; ``head`` is its ``_FIELDS``."""
    created_ms, active_ms, version, title = head
    if created_ms is None or active_ms is None or version is None:
        return None
    return SessionRow(
        session_id=session_id,
        created_at=int(created_ms) / 1000,
        active_at=int(active_ms) / 1000,
        version=int(version),
        title=(title or b"").decode(),
    )
