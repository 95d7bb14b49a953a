"""Last good results in Redis: one string a call, which expires; its age follows from its life."""

import hashlib
from typing import Final

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.domain.acting_limits import LAST_GOOD_KEPT_S
from kotaemon_node.ports.last_good import LastGood
from kotaemon_node.ports.plugins import Caller

_KEPT_MS: Final = int(LAST_GOOD_KEPT_S * 1000)


class RedisLastGood:
    """``ports.last_good.LastGoodResults``."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def keep(self, caller: Caller, name: str, asked: str, told: str) -> None:
        """See the port."""
        key = _key(caller, name, asked)
        self._store.pipelined(lambda pipe: pipe.set(key, told.encode(), px=_KEPT_MS))

    def find(self, caller: Caller, name: str, asked: str) -> LastGood | None:
        """See the port."""
        key = _key(caller, name, asked)

        def ask(pipe: object) -> None:
            pipe.get(key)  # type: ignore[attr-defined]
            pipe.pttl(key)  # type: ignore[attr-defined]

        told, left_ms = self._store.pipelined(ask)
        if told is None:
            return None
        return LastGood(told.decode(), max(0.0, (_KEPT_MS - int(left_ms)) / 1000))


def _key(caller: Caller, name: str, asked: str) -> str:
    # A session without a user is its own user: nobody sees what another one was told.
    who = f"u:{caller.user_id}" if caller.user_id else f"s:{caller.session_id}"
    said = "\0".join((caller.tenant, who, name, asked))
    return keys.last_good(hashlib.sha256(said.encode()).hexdigest()[:32])
