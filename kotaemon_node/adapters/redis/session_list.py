"""Sessions by their last activity, of a principal and of a tenant.

A list to show; the sessions are the truth.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.archive_mark import Mark
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.idle import IdleSessions
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.redis.session_seals import SessionSeals
from kotaemon_node.adapters.redis.store_errors import store_errors
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import MasterKeyMissing, Sealed
from kotaemon_node.domain.session import SessionKey, SessionRow

_log = structlog.get_logger(__name__)

UNLISTED: Final = "unlisted"
"""Field of a session's head, there where no list shows it."""
_FIELDS: Final = ("created_ms", "active_ms", "version", "title")


class SessionList:
    """One sorted set a principal and one a tenant, bounded.

    What expired leaves them when they are looked at.
    """

    def __init__(self, store: RedisStore, *, ttl_s: int, idle: IdleSessions | None = None) -> None:
        """``idle``: the index that is kept beside it, where sessions are archived."""
        self._store = store
        self._ttl_s = ttl_s
        self._idle = idle

    def page(
        self, tenant: str, subject: str | None, *, offset: int, limit: int
    ) -> Sequence[SessionRow]:
        """See ``SessionStore.list``; ``subject`` None: those of the tenant."""
        index = keys.sessions_of(tenant, subject)
        rows, gone = self._listed(index, tenant, offset=offset, limit=limit)
        while gone:
            # What expired leaves the list, and what stood behind it moves up into the page.
            with store_errors():
                self._store.client.zrem(index, *gone)
            rows, gone = self._listed(index, tenant, offset=offset, limit=limit)
        return rows

    def _listed(
        self, index: str, tenant: str, *, offset: int, limit: int
    ) -> tuple[Sequence[SessionRow], Sequence[str]]:
        """Return a page of the list and the ids in it whose sessions are gone."""
        with store_errors():
            ids = self._store.client.zrevrange(index, offset, offset + limit - 1)
        found = [identifier.decode() for identifier in ids]

        def fill(pipe: Any) -> None:
            for session_id in found:
                names = SessionKeys.of(SessionKey(tenant, session_id))
                pipe.hmget(names.meta, *_FIELDS)

        heads = self._store.pipelined(fill, confirmed=True) if found else []
        rows = {
            sid: row
            for sid, head in zip(found, heads, strict=True)
            if (row := self._row(SessionKey(tenant, sid), head))
        }
        absent = [session_id for session_id in found if session_id not in rows]
        rows |= self._archived(tenant, absent)
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
        known = [SessionKey(tenant, session_id) for session_id in ids]
        found = zip(known, map(Mark.read, replies[::2]), replies[1::2], strict=True)
        rows = (
            self._marked(key, mark) if mark else self._row(key, head) for key, mark, head in found
        )
        return {row.session_id: row for row in rows if row}

    def _row(self, key: SessionKey, head: Sequence[bytes | None]) -> SessionRow | None:
        """Return the line of a session, None where it is not there; ``head`` is its ``_FIELDS``."""
        created_ms, active_ms, version, title = head
        if created_ms is None or active_ms is None or version is None:
            return None
        return SessionRow(
            session_id=key.session_id,
            created_at=int(created_ms) / 1000,
            active_at=int(active_ms) / 1000,
            version=int(version),
            title=self._title(key, title or b""),
        )

    def _marked(self, key: SessionKey, mark: Mark) -> SessionRow:
        return mark.row(key.session_id, title=self._title(key, mark.title))

    def _title(self, key: SessionKey, stored: bytes) -> str:
        """Return a title, "" for one that nobody opens any more: others are in the list, too."""
        try:
            return SessionSeals(self._store.cipher, key).opened(stored, "title").decode()
        except MasterKeyMissing:
            raise  # another pod shows it
        except Sealed as error:
            _log.warning("title_sealed", session_id=key.session_id, reason=str(error))
            return ""

    def note(self, key: SessionKey) -> None:
        """Put the session where its last activity belongs.

        One that is gone is left out, and of the lists one that was made for a single request.
        """
        [head] = self._store.pipelined(
            lambda pipe: pipe.hmget(SessionKeys.of(key).meta, "principal", "active_ms", UNLISTED)
        )
        subject, active_ms, unlisted = head
        if subject is None or active_ms is None:
            return
        indexes = () if unlisted else _indexes(key.tenant, subject.decode())

        def fill(pipe: Any) -> None:
            for index in indexes:
                pipe.zadd(index, {key.session_id: int(active_ms)})
                pipe.zremrangebyrank(index, 0, -limits.SESSIONS_INDEX_MAX - 1)
                pipe.expire(index, self._ttl_s)
            if self._idle is not None:
                self._idle.fill(pipe, key, at_ms=int(active_ms))

        if self._idle is not None or indexes:
            self._store.pipelined(fill)

    def remove(self, key: SessionKey, subject: str) -> None:
        """Take a deleted session out."""
        with store_errors():
            for index in _indexes(key.tenant, subject):
                self._store.client.zrem(index, key.session_id)


def _indexes(tenant: str, subject: str) -> tuple[str, str]:
    return keys.sessions_of(tenant, subject), keys.sessions_of(tenant, None)
