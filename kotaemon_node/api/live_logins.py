"""Which logins of the page still count: each may be ended before its time, everywhere.

Rule 1: a login carries an id of its own and the stamp that its person's logins had when it was
    made. Logging out ends the id; an administrator ends all of a person by another stamp.
Rule 2: a pod asks the store about a login, and believes the answer for ``LOGIN_KNOWN_S``: so one
    that was ended elsewhere is out after that time, and a page costs a read each two seconds at
    most, whatever it asks. One that has ended stays so, and is not asked about again.
Rule 3: a store that does not answer makes 503, but for a login that counted here within
    ``API_KEYS_STALE_S``, as it is with keys.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import StoreUnavailable, Unauthenticated
from kotaemon_node.domain.session import Principal
from kotaemon_node.ports.logins import EndedLogins, LoginMark
from kotaemon_node.ports.runtime import Clock

_ENDED: Final = "the login was ended; log in again"


@dataclass(frozen=True, slots=True)
class _Seen:
    at_s: float
    ended: bool


class LiveLogins:
    """Thread safe. Each call may raise ``StoreUnavailable``."""

    def __init__(
        self,
        ended: EndedLogins,
        *,
        clock: Clock,
        random: Callable[[], str],
        stale_s: float = 0.0,
    ) -> None:
        """``random``: letters and digits, no two alike; ``stale_s``: see rule 3."""
        self._ended = ended
        self._clock = clock
        self._random = random
        self._stale_s = stale_s
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._lock = Lock()

    def begin(self, who: Principal, *, end_s: int) -> LoginMark:
        """Return the mark of a login that is made now."""
        stamp = self._ended.stamp(who.tenant, who.subject)
        return LoginMark(who.tenant, who.subject, self._random(), stamp, end_s)

    def require(self, mark: LoginMark) -> None:
        """Raise ``Unauthenticated`` for a login that was ended."""
        if self._has_ended(mark):
            raise Unauthenticated(_ENDED)

    def end(self, mark: LoginMark) -> None:
        """End one login on all pods."""
        self._ended.end(mark, left_s=mark.end_s - self._clock.now_s())
        self._note(mark.id, ended=True, at_s=self._clock.monotonic_s())

    def end_all(self, tenant: str, subject: str) -> None:
        """End all that a person has, on all pods."""
        self._ended.end_all(tenant, subject)
        with self._lock:  # nobody counts here on what was known before
            self._seen.clear()

    def _has_ended(self, mark: LoginMark) -> bool:
        with self._lock:
            seen = self._seen.get(mark.id)
        age_s = self._clock.monotonic_s() - seen.at_s if seen else float("inf")
        if seen and (seen.ended or age_s < limits.LOGIN_KNOWN_S):
            return seen.ended
        asked_s = self._clock.monotonic_s()
        try:
            ended = self._ended.ended(mark)
        except StoreUnavailable:
            if seen and age_s < self._stale_s:
                return False
            raise
        self._note(mark.id, ended=ended, at_s=asked_s)
        return ended

    def _note(self, login_id: str, *, ended: bool, at_s: float) -> None:
        with self._lock:
            known = self._seen.get(login_id)
            if known and known.ended:
                return  # an answer from before it ended
            self._seen[login_id] = _Seen(at_s, ended)
            self._seen.move_to_end(login_id)
            if len(self._seen) > limits.LOGINS_KNOWN_MAX:
                self._seen.popitem(last=False)
