"""What every door asks before it lets somebody in: may they, and what do they have left?

Rule 1: a store that does not answer refuses nothing by itself. What needs it fails anyway; what
    does not is still answered, and not after a wait for each request: for ``_AWAY_S`` after a
    failure nobody of the tenant is asked about. Others are: theirs may lie on another shard. A pod
    that has no connection to it left is overloaded, and says so: else whoever fills them would be
    let in uncounted.
Rule 2: what a turn reserves is never more than a limit as a whole, else it could never be let in.
Rule 3: whoever comes back to a turn after its pod has died finds the place of before; beyond
    ``_SHARING_MAX`` who follow it in this pod each needs one of its own.
"""

import ipaddress
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from threading import Event, Lock
from typing import Final

import structlog

from kotaemon_node.domain.errors import LimitReached, StoreBusy, StoreUnavailable
from kotaemon_node.domain.quotas import Quota, QuotaTable
from kotaemon_node.domain.session import Principal
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.use import (
    STREAMS_KEPT_EVERY_S,
    Level,
    OpenStream,
    UseCounts,
    User,
    Verdict,
    Wanted,
)
from kotaemon_node.telemetry.use_metrics import UseMetrics

_log = structlog.get_logger(__name__)

_AWAY_S: Final = 0.5
_AWAY_TENANTS_MAX: Final = 1_000
_SHARING_MAX: Final = 2
"""One that follows, and one that comes back before the first is known to be gone."""
_WORDS: Final = {
    "requests": "requests a minute",
    "tokens": "tokens a minute",
    "cost": "a day for language models",
    "streams": "streams at once",
    "upload_bytes": "bytes of uploads a day",
}


class UseDesk:
    """Counts what is used in this pod. Thread safe."""

    def __init__(
        self,
        counts: UseCounts,
        *,
        table: Callable[[], QuotaTable],
        clock: Clock,
        metrics: UseMetrics,
        reserved_tokens: int = 0,
        reserved_cost: float = 0.0,
        by_address: bool = False,
    ) -> None:
        """``reserved_…``: for a turn, where a language model may be asked.

        ``by_address``: who shows no credential is told from others by the address.
        """
        self._counts = counts
        self._table = table
        self._clock = clock
        self._metrics = metrics
        self._tokens = reserved_tokens
        self._cost = reserved_cost
        self._by_address = by_address
        self._failed_s: OrderedDict[str, float] = OrderedDict()
        """Tenants whose use could not be counted a moment ago, the latest at the end."""
        self._open: Counter[OpenStream] = Counter()
        self._sharing: Counter[OpenStream] = Counter()
        self._lock = Lock()

    def user(self, one: Principal, address: str) -> User:
        """Return whose use a principal's is, and how much they may."""
        table, subject = self._table(), one.subject
        if self._by_address and one.role == "open" and address:
            subject = f"address:{network_of(address)}"
        own = table.of_principal(replace(one, subject=subject))
        return User(one.tenant, subject, own, table.of_tenant(one.tenant))

    def take(self, user: User, wanted: Wanted) -> Verdict | None:
        """Count what is wanted; None where nothing limits it, or nobody can tell now.

        Raises ``LimitReached`` and ``StoreBusy``, and counts nothing then.
        """
        if not _concerned(user, wanted) or self._away(user.tenant):
            return None
        try:
            verdict = self._counts.take(user, wanted)
        except StoreBusy:
            raise
        except StoreUnavailable as error:
            self._failed(user.tenant, error)
            return None
        if verdict.refused is not None:
            self._metrics.limited(verdict.refused.name)
            raise _reached(verdict.refused, verdict, wanted)
        return verdict

    def turn(self, user: User, *, name: str, stream: str = "") -> Wanted:
        """Return what a turn wants."""
        return Wanted(
            requests=1,
            tokens=int(_within(self._tokens, user, "tokens_per_minute")),
            cost=_within(self._cost, user, "cost_per_day"),
            stream=stream,
            turn=name,
        )

    def look(self, user: User) -> Verdict:
        """Return how the limits stand; raises ``StoreUnavailable``."""
        return self._counts.look(user) if user.limited else Verdict()

    def forget(self, user: User, name: str) -> None:
        """Give back what was reserved for a turn that was not accepted."""
        with suppress(StoreUnavailable):
            self._counts.forget(user.tenant, name)

    # --- streams --------------------------------------------------------------------------------

    def shares(self, stream: OpenStream) -> bool:
        """Tell whether one more may be followed in a stream's place; ``shared`` undoes a yes."""
        with self._lock:
            if self._sharing[stream] >= _SHARING_MAX:
                return False
            self._sharing[stream] += 1
            return True

    def shared(self, stream: OpenStream) -> None:
        """Say that one who was let share is gone."""
        with self._lock:
            self._sharing[stream] -= 1
            if self._sharing[stream] <= 0:
                del self._sharing[stream]

    def opened(self, stream: OpenStream) -> None:
        """Keep a stream open from now on."""
        with self._lock:
            self._open[stream] += 1

    def closed(self, stream: OpenStream) -> None:
        """Give its place back, once for each ``opened``."""
        with self._lock:
            self._open[stream] -= 1
            if self._open[stream] > 0:
                return
            del self._open[stream]
        with suppress(StoreUnavailable):  # it ends by itself
            self._counts.end(stream)

    def keep_streams(self, left: Event) -> None:
        """Keep the open streams' places until the pod has left."""
        while not self._clock.wait(left, STREAMS_KEPT_EVERY_S):
            try:
                with self._lock:
                    streams = list(self._open)
                self._counts.keep(streams)
            except StoreUnavailable as error:
                _log.warning("streams_not_kept", error=str(error))
            except Exception:  # noqa: BLE001 - a loop that ends frees places that are in use
                _log.exception("keeping_streams_broke")

    # --- the store ------------------------------------------------------------------------------

    def _away(self, tenant: str) -> bool:
        failed_s = self._failed_s.get(tenant)
        if failed_s is None or self._clock.monotonic_s() - failed_s >= _AWAY_S:
            return False
        self._metrics.unchecked()
        return True

    def _failed(self, tenant: str, error: StoreUnavailable) -> None:
        now_s = self._clock.monotonic_s()
        with self._lock:
            failed = self._failed_s
            failed[tenant] = now_s
            failed.move_to_end(tenant)
            while len(failed) > _AWAY_TENANTS_MAX or now_s - next(iter(failed.values())) >= _AWAY_S:
                failed.popitem(last=False)
        self._metrics.unchecked()
        _log.warning("limits_unchecked", tenant=tenant, error=str(error))


def network_of(address: str) -> str:
    """Return whose an address is: itself, of IPv6 the /64 that a subscriber has."""
    try:
        read = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(read, ipaddress.IPv6Address):
        if read.ipv4_mapped is not None:
            return str(read.ipv4_mapped)
        return str(ipaddress.ip_network((read, 64), strict=False))
    return str(read)


def _concerned(user: User, wanted: Wanted) -> bool:
    uses = (wanted.requests, wanted.tokens, wanted.cost, wanted.stream, wanted.upload_bytes)
    return any(
        used and limit is not None
        for quota in (user.own, user.all)
        for used, limit in zip(uses, quota.values, strict=True)
    )


def _within(reserved: float, user: User, name: str) -> float:
    quotas: Sequence[Quota] = (user.own, user.all)
    limits: list[float] = [value for one in quotas if (value := getattr(one, name)) is not None]
    return min([reserved, *limits])


def _reached(refused: Level, verdict: Verdict, wanted: Wanted) -> LimitReached:
    whose = "your" if refused.scope == "principal" else "the whole tenant's"
    told = f"{whose} limit of {refused.limit:,g} {_WORDS[refused.name]} is reached"
    if refused.name == "upload_bytes" and wanted.upload_bytes > refused.limit:
        told = f"the upload has more than {whose} limit of {refused.limit:,g} bytes a day"
    elif refused.name == "streams":
        told += "; close one first"
    else:
        told += f"; try again in {_spoken(verdict.wait_s)}"
    return LimitReached(
        told,
        limit=refused.name,
        retry_after_s=verdict.wait_s,
        levels=verdict.levels,
    )


def _spoken(wait_s: float) -> str:
    seconds = math.ceil(wait_s)
    if seconds < 120:
        return f"{seconds} s"
    return f"{math.ceil(seconds / 60)} min, at midnight UTC" if seconds < 86_400 else "a day"
