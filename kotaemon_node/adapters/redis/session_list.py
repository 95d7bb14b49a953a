"""A principal's sessions by their last activity. A list to show; the sessions are the truth."""

from collections.abc import Mapping, Sequence
from typing import Any

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.archive_mark import Mark
from kotaemon_node.adapters.redis.connection import RedisStore, store_errors
from kotaemon_node.adapters.redis.idle import IdleSessions
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.domain import limits
from kotaemon_node.domain.session import Principal, SessionKey, SessionRow


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
                pipe.hmget(names.meta, "created_ms", "active_ms", "version", "title")

        heads = self._store.pipelined(fill, confirmed=True) if found else []
        absent = [sid for sid, head in zip(found, heads, strict=True) if head[0] is None]
        archived = self._archived(principal.tenant, absent)
        gone = [session_id for session_id in absent if session_id not in archived]
        rows = [
            archived.get(session_id)
            or SessionRow(
                session_id=session_id,
                created_at=int(head[0]) / 1000,
                active_at=int(head[1]) / 1000,
                version=int(head[2]),
                title=(head[3] or b"").decode(),
            )
            for session_id, head in zip(found, heads, strict=True)
            if head[0] is not None or session_id in archived
        ]
        return rows, gone

    def _archived(self, tenant: str, ids: Sequence[str]) -> Mapping[str, SessionRow]:
        """Return the rows of those that are archived, by their ids."""

        def fill(pipe: Any) -> None:
            for session_id in ids:
                pipe.get(SessionKeys.of(SessionKey(tenant, session_id)).archived)

        marks = map(Mark.read, self._store.pipelined(fill, confirmed=True) if ids else [])
        found = zip(ids, marks, strict=True)
        return {session_id: mark.row(session_id) for session_id, mark in found if mark}

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
