"""Slows down who tries credentials, by the address, without locking out anybody else.

Rule 1: refused credentials count for their address, for all pods together. Behind the limit a
    credential that is not known to be good is answered 429 whether it is right or not: who guesses
    learns nothing from it.
Rule 2: a credential that was let in here within ``_GOOD_S`` is let in whatever its address did:
    strangers at the same address, and attackers who forge none, lock nobody out who is in.
Rule 3: the same wrong credential again is somebody's old cookie or script, and no guess: it counts
    once for its address, however often it comes. Where each try is a guess, each one counts.
Rule 4: a store that does not answer refuses nothing by itself. A pod that has no connection to it
    left is overloaded, and says so: else whoever fills them would guess uncounted.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Final

import structlog
from flask import Request

from kotaemon_node.api.principal import KEY_HEADER, login_in
from kotaemon_node.api.use_desk import network_of
from kotaemon_node.domain.errors import (
    LimitReached,
    StoreBusy,
    StoreUnavailable,
    Unauthenticated,
)
from kotaemon_node.domain.quotas import Quota
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.use import UseCounts, User, Verdict, Wanted
from kotaemon_node.telemetry.use_metrics import UseMetrics

_log = structlog.get_logger(__name__)

_GOOD_S: Final = 3_600.0
_GOOD_MAX: Final = 10_000
_WRONG_MAX: Final = 10_000
_AWAY_S: Final = 0.5
_CARRIERS: Final = ("Authorization", KEY_HEADER)


class CredentialGuard:
    """Thread safe."""

    def __init__(
        self, counts: UseCounts, *, per_minute: int, clock: Clock, metrics: UseMetrics
    ) -> None:
        """``per_minute``: how many credentials of one address may be refused."""
        self._counts = counts
        self._quota = Quota(requests_per_minute=per_minute)
        self._clock = clock
        self._metrics = metrics
        self._good: OrderedDict[bytes, float] = OrderedDict()
        self._wrong: OrderedDict[tuple[str, bytes], None] = OrderedDict()
        self._failed_s: float | None = None
        self._lock = Lock()

    @contextmanager
    def watching(self, shown: str, address: str, *, once: bool = True) -> Iterator[None]:
        """Judge what is tried within: raises ``LimitReached`` in place of ``Unauthenticated``.

        ``shown``: the credential as it came; "" where there is none, which counts as no try.
        ``once``: the same again costs nobody anything; else each refusal counts.
        """
        if not shown or not address:
            yield
            return
        digest = hashlib.sha256(shown.encode("utf-8", "surrogatepass")).digest()
        user = self._user(address)
        if not self._is_good(digest):
            self._require_room(user)
        try:
            yield
        except Unauthenticated:
            self._forget(digest)
            self._refused(user, digest if once else None)
            raise
        if once:
            self._remember(digest)

    def _require_room(self, user: User) -> None:
        # A look: who is let in costs the address nothing.
        verdict = self._asked(lambda: self._counts.look(user))
        if verdict is not None and verdict.levels and verdict.levels[0].left <= 0:
            raise self._too_many(verdict.levels[0].reset_s)

    def _refused(self, user: User, digest: bytes | None) -> None:
        """Count a refusal; ``digest`` is that of a credential which counts once."""
        if digest is not None and self._is_wrong(user, digest):
            return
        # Named, so that other pods' first looks at the same one count nothing either.
        wanted = Wanted(requests=1, turn="" if digest is None else digest.hex())
        verdict = self._asked(lambda: self._counts.take(user, wanted))
        if verdict is None:
            return
        if verdict.refused is not None:
            raise self._too_many(verdict.wait_s)
        if digest is not None:
            self._note_wrong(user, digest)

    def _too_many(self, wait_s: float) -> LimitReached:
        self._metrics.limited("credentials")
        return LimitReached(
            "too many credentials of this address were refused; wait a minute",
            limit="credentials",
            retry_after_s=wait_s,
        )

    def _asked(self, ask: Callable[[], Verdict]) -> Verdict | None:
        failed_s = self._failed_s
        if failed_s is not None and self._clock.monotonic_s() - failed_s < _AWAY_S:
            self._metrics.unchecked()
            return None
        try:
            return ask()
        except StoreBusy:
            raise
        except StoreUnavailable as error:
            self._failed_s = self._clock.monotonic_s()
            self._metrics.unchecked()
            _log.warning("credentials_uncounted", error=str(error))
            return None

    def _user(self, address: str) -> User:
        # A tenant of its own for each address: no braces, so it is no tenant's name.
        return User(f"!{network_of(address)}", "refused", self._quota, Quota())

    def _is_good(self, digest: bytes) -> bool:
        with self._lock:
            seen_s = self._good.get(digest)
        return seen_s is not None and self._clock.monotonic_s() - seen_s < _GOOD_S

    def _is_wrong(self, user: User, digest: bytes) -> bool:
        with self._lock:
            known = (user.tenant, digest) in self._wrong
            if known:
                self._wrong.move_to_end((user.tenant, digest))
        return known

    def _note_wrong(self, user: User, digest: bytes) -> None:
        # Only what was counted: so an address fills no more of it than it may be refused.
        with self._lock:
            self._wrong[user.tenant, digest] = None
            if len(self._wrong) > _WRONG_MAX:
                self._wrong.popitem(last=False)

    def _remember(self, digest: bytes) -> None:
        with self._lock:
            self._good[digest] = self._clock.monotonic_s()
            self._good.move_to_end(digest)
            if len(self._good) > _GOOD_MAX:
                self._good.popitem(last=False)

    def _forget(self, digest: bytes) -> None:
        with self._lock:
            self._good.pop(digest, None)


def shown_by(request: Request) -> str:
    """Return the credentials that a request carries, "" where it carries none."""
    carried = [request.headers.get(name, "") for name in _CARRIERS]
    carried.append(login_in(request))
    return "\n".join(carried) if any(carried) else ""
