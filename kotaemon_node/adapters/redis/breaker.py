"""A breaker that all pods share: one hash, and one script that says what happens to it."""

import hashlib
from typing import Final, Literal

from kotaemon_node.adapters.redis import keys
from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.domain import limits
from kotaemon_node.ports.breakers import Verdict

_AS_PROBE: Final = 2


class RedisBreaker:
    """``ports.breakers.Breaker`` for the endpoint at an address, which nobody can read here."""

    def __init__(self, store: RedisStore, *, address: str) -> None:
        self._store = store
        self._key = keys.breaker(hashlib.sha256(address.encode()).hexdigest()[:16])

    def ask(self, caller: str) -> Verdict:
        """See the port."""
        admitted, open_ms = self._run("ask", caller)
        return Verdict(admitted > 0, open_ms / 1000, probe=admitted == _AS_PROBE)

    def answering(self, caller: str) -> None:
        """See the port."""
        self._run("answering", caller)

    def succeeded(self, caller: str) -> None:
        """See the port."""
        self._run("succeeded", caller)

    def failed(self, caller: str) -> None:
        """See the port."""
        self._run("failed", caller)

    def gave_up(self, caller: str) -> None:
        """See the port."""
        self._run("gave_up", caller)

    def open_now(self) -> bool:
        """See the port."""
        return bool(self._run("look", "")[0])

    def _run(
        self,
        asked: Literal["ask", "answering", "succeeded", "failed", "gave_up", "look"],
        caller: str,
    ) -> tuple[int, int]:
        spans_ms = (
            int(1000 * span_s)
            for span_s in (limits.BREAKER_OPEN_S, limits.BREAKER_OPEN_S_MAX, limits.BREAKER_PROBE_S)
        )
        reply = self._store.run(
            "breaker", [self._key], [asked, caller, limits.BREAKER_FAILURES, *spans_ms]
        )
        return int(reply[0]), int(reply[1])
