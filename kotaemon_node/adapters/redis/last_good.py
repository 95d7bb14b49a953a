"""Last good results in Redis: one string a call, which expires; its age follows from its life."""

from typing import Final

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.domain.acting_limits import LAST_GOOD_KEPT_S
from kotaemon_node.ports.cipher import SealedPlace
from kotaemon_node.ports.last_good import LastGood
from kotaemon_node.ports.tools import Caller

_KEPT_MS: Final = int(LAST_GOOD_KEPT_S * 1000)


class RedisLastGood:
    """``ports.last_good.LastGoodResults``."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    def keep(self, caller: Caller, name: str, asked: str, told: str) -> None:
        """See the port."""
        call = self._call(caller, name, asked)
        sealed = self._store.cipher.seal(told.encode(), _place(caller, call))
        key = keys.last_good(call)
        self._store.pipelined(lambda pipe: pipe.set(key, sealed, px=_KEPT_MS))

    def find(self, caller: Caller, name: str, asked: str) -> LastGood | None:
        """See the port."""
        call = self._call(caller, name, asked)
        key = keys.last_good(call)

        def ask(pipe: object) -> None:
            pipe.get(key)  # type: ignore[attr-defined]
            pipe.pttl(key)  # type: ignore[attr-defined]

        told, left_ms = self._store.pipelined(ask)
        if told is None:
            return None
        opened = self._store.cipher.open(told, _place(caller, call)).decode()
        return LastGood(opened, max(0.0, (_KEPT_MS - int(left_ms)) / 1000))

    def _call(self, caller: Caller, name: str, asked: str) -> str:
        # A session without a user is its own user: nobody sees what another one was told.
        who = f"u:{caller.user_id}" if caller.user_id else f"s:{caller.session_id}"
        said = "\0".join((caller.tenant, who, name, asked))
        return self._store.cipher.digest(said.encode(), caller.tenant).hex()[:32]


def _place(caller: Caller, call: str) -> SealedPlace:
    return SealedPlace(caller.tenant, f"last good {call}")
