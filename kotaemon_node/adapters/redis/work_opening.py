"""Opening the turns that this process is to execute, and what becomes of those it cannot open."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import structlog

from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.redis.records import lease_of, work_of
from kotaemon_node.adapters.redis.session_cache import Head, Remembered, SessionCache
from kotaemon_node.adapters.redis.session_refusals import WRITE_ERRORS
from kotaemon_node.adapters.redis.session_seals import SessionSeals
from kotaemon_node.adapters.redis.store_errors import store_errors
from kotaemon_node.adapters.redis.stored_text import texts_of_flat
from kotaemon_node.domain.errors import NodeError, Sealed
from kotaemon_node.domain.sealing_limits import SEALED_ELSEWHERE_S, SEALED_ELSEWHERE_TURNS_MAX
from kotaemon_node.domain.session import TurnKey
from kotaemon_node.ports.sessions import Lease, Work

_log = structlog.get_logger(__name__)

_FOR_GOOD: Final = frozenset({"destroyed", "altered"})
"""Reasons of ``Sealed`` for which no pod opens a value."""


class WorkOpening:
    """Of one process. One that no pod can open is ended; any other is left to who can."""

    def __init__(self, store: RedisStore, cache: SessionCache) -> None:
        self._store = store
        self._cache = cache
        self._left: dict[TurnKey, float] = {}
        """Turns that are sealed for this process, and until when it does not try them again."""

    def left(self, key: TurnKey) -> bool:
        """Tell whether this process could not open the turn a moment ago."""
        return self._left.get(key, 0.0) > time.monotonic()

    def work(self, key: TurnKey, reply: Sequence[Any], known: Remembered | None) -> Work:
        """Read a turn to execute; the store left out the turns before ``known``.

        Raises ``Sealed``; then the turn is ended, or left to pods that may know the key.
        """
        try:
            return self._opened(key, reply, known)
        except Sealed as error:
            with suppress(NodeError):  # it is another's already, or will be when this pod is gone
                self._give_up(lease_of(key, reply), error)
            raise

    def following(
        self, key: TurnKey, reply: Sequence[Any], known: Remembered | None
    ) -> Work | None:
        """Return the next turn of a session, None for one that cannot be opened here."""
        try:
            return self.work(key, reply, known)
        except Sealed as error:
            _log.error("turn_sealed", turn_id=key.turn_id, reason=str(error))
            return None

    def release(self, lease: Lease, *, unread: bool = False) -> None:
        """See ``SessionStore.release``; ``unread``: the owner could not open it."""
        names = SessionKeys.of(lease.key.session)
        reply = self._store.run(
            "release",
            [names.meta, names.turn(lease.key.turn_id)],
            [lease.epoch, lease.fence, lease.owner, "1" if unread else ""],
        )
        _check(reply, lease)

    def _give_up(self, lease: Lease, error: Sealed) -> None:
        if error.reason in _FOR_GOOD:
            self._end(lease)
            return
        self._left[lease.key] = time.monotonic() + SEALED_ELSEWHERE_S
        while len(self._left) > SEALED_ELSEWHERE_TURNS_MAX:
            self._left.pop(next(iter(self._left)), None)
        self.release(lease, unread=True)

    def _end(self, lease: Lease) -> None:
        names, turn_id = SessionKeys.of(lease.key.session), lease.key.turn_id
        reply = self._store.run(
            "unreadable",
            [*names.head(), names.turn(turn_id), names.frames(turn_id)],
            [lease.epoch, lease.fence, lease.owner, turn_id, names.signal],
        )
        _check(reply, lease)

    def _opened(self, key: TurnKey, reply: Sequence[Any], known: Remembered | None) -> Work:
        meta, rows, *rest = reply
        turns = SessionKeys.of(key.session).turns

        def fetch(first: int, version: int) -> Any:
            with store_errors():
                return self._store.client.lrange(turns, first, version - 1)

        head = Head.of(texts_of_flat(meta))
        past = self._cache.completed(key.session, known, head, rows, fetch=fetch)
        seals = SessionSeals(self._store.cipher, key.session)
        return work_of(key, [meta, past, *rest], seals, unmoved=_unmoved(head, known))


def _unmoved(head: Head, known: Remembered | None) -> bool:
    """Tell whether no other pod may remember an older version than this one does."""
    if known is None:
        return head.version == 0
    return (known.epoch, known.version, known.hash) == (head.epoch, head.version, head.hash)


def _check(reply: bytes, lease: Lease) -> None:
    outcome = reply.decode()
    if outcome != "ok":
        raise WRITE_ERRORS[outcome](f"turn {lease.key.turn_id}: {outcome}")
