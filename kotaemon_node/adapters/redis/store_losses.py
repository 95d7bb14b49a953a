"""What a store has lost of a session, as far as this pod remembers it: noticed, and told once.

A store is set back by a failover to a replica that was behind, or by a restored copy; or it is
wiped. What this pod remembers (``session_cache``) then has a version or a hash to which the store
does not lead any more. The store decides whether it is so and takes the new epoch in one step
(``renewed`` in ``lua/_work.lua``), so that of many pods that notice one tells. Where its reply does
not come, this pod's next call for the session tells instead.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NoReturn

from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.keys import SessionKeys
from kotaemon_node.adapters.redis.running import RunningTurns
from kotaemon_node.adapters.redis.session_cache import (
    Remembered,
    SessionCache,
    carried_on,
    proof,
)
from kotaemon_node.domain.acting_limits import HISTORY_READ_TURNS
from kotaemon_node.domain.errors import Gone, StoreUnavailable
from kotaemon_node.domain.session import SessionKey, TurnKey

LossReason = Literal["rolled_back", "wiped"]
"""``rolled_back``: turns at the end are missing. ``wiped``: the whole session is, or was."""

_TOLD: Mapping[str, str] = {
    "rolled_back": "the store has lost the end of this session; read it again, "
    "what you send from now on goes on from what is left",
    "wiped": "the store has lost this session; what you send from now on begins anew",
}


class StoreLosses:
    """Finds losses and tells of them. ``count`` is told the reason of each that is told."""

    def __init__(
        self,
        store: RedisStore,
        cache: SessionCache,
        running: RunningTurns,
        *,
        ttl_s: int,
        count: Callable[[LossReason], None],
    ) -> None:
        self._store = store
        self._cache = cache
        self._running = running
        self._ttl_s = ttl_s
        self._count = count

    def known(self, key: SessionKey, subject: str) -> Remembered | None:
        """Return what is remembered and ``subject`` may hear of; "" may hear of all."""
        entry = self._cache.get(key)
        return entry if entry and subject in {"", entry.principal} else None

    def check(
        self,
        key: SessionKey,
        known: Remembered | None,
        head: Mapping[str, str],
        rows: Sequence[bytes],
        *,
        first: int,
    ) -> None:
        """Raise ``Gone`` where ``head``, just read, or the turns after ``first`` show a loss.

        ``head`` is empty where there is no session.
        """
        if known is None or not _suspicious(known, head, rows, first=first):
            return
        names = SessionKeys.of(key)
        epoch = secrets.token_hex(16)
        with self.asking(key, known, epoch) as callers:
            reply = self._store.run(
                "renew",
                [names.meta, names.turns, names.queue],
                [epoch, self._ttl_s, HISTORY_READ_TURNS, *proof(known), callers],
            )
            if reply[0] == b"lost":
                self.tell(key, reply)
        if head.get("epoch") != known.epoch:
            self._cache.drop(key)  # of a session that was deleted, or whose loss was told

    @contextmanager
    def asking(self, key: SessionKey, known: Remembered | None, call: str) -> Iterator[str]:
        """Yield by whom a loss is told, as ``remembered`` in ``lua/_work.lua`` takes it.

        Around all that is done until the caller hears of the loss.
        """
        calls = self._cache.take_unheard(key) or (call,) if known else (call,)
        try:
            yield "\n".join(calls)
        except StoreUnavailable:
            if known:
                self._cache.note_unheard(key, known.epoch, calls)
            raise

    def tell(self, key: SessionKey, reply: Sequence[Any]) -> NoReturn:
        """Raise ``Gone`` for a script's reply ``lost``, and remember the session no more."""
        reason: LossReason = "rolled_back" if reply[1] == b"rolled_back" else "wiped"
        for turn_id in reply[2]:
            # The index of running turns may be on a node that lost nothing, where these had ended.
            self._running.enter(TurnKey(key, turn_id.decode()))
        self._cache.lost(key)
        self._count(reason)
        raise Gone(_TOLD[reason])


def _suspicious(
    known: Remembered, head: Mapping[str, str], rows: Sequence[bytes], *, first: int
) -> bool:
    """Tell whether the store is to be asked; what cannot be seen here the next claim sees."""
    if head.get("epoch") != known.epoch:
        return True
    version, behind = int(head["version"]), known.version - first
    if version < max(known.version, known.heard):
        return True
    if version == known.version:
        return head["hash"] != known.hash
    if not 0 <= behind <= len(rows) or first + len(rows) != version:
        return False
    return carried_on(known.hash, rows[behind:]) != head["hash"]
