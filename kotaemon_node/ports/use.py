"""What principals and tenants have used, counted for all pods together.

Rule 1: one call checks all limits that apply and counts in all of them, or in none.
Rule 2: in any sixty seconds no more is let in than a limit says. A place is free again a second
    after it could be, at the latest: what was used is kept by the second.
Rule 3: what a turn takes is not known before it: so it is reserved when the turn is asked for, and
    settled once when it has ended. Beyond a limit goes only what a turn took above its reservation.
    Where several pods attempted a turn, it took what the last one knows of, and what each of those
    before it tells that nobody else can.
Rule 4: what is never settled counts as it was reserved: who could have told is gone, and the model
    was asked perhaps. A stream that nobody keeps ends after ``STREAM_LEASE_S``.
Rule 5: time is the store's. Where its clock is set back, what counted then counts as of now.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from kotaemon_node.domain.limits import TURN_TIMEOUT_S
from kotaemon_node.domain.quotas import Quota

RESERVED_S: Final = TURN_TIMEOUT_S + 300.0
"""Longer than any turn: what expires is of no turn that somebody still answers."""
SETTLED_S: Final = 120.0
"""For so long after its end a turn that is asked for again is known as counted."""
STREAM_LEASE_S: Final = 10.0
STREAMS_KEPT_EVERY_S: Final = 3.0
REPEATS_MAX: Final = 10
"""So often a turn may be asked for again before that counts as a request, too."""

LimitName = Literal["requests", "tokens", "cost", "streams", "upload_bytes"]
LIMIT_NAMES: Final[tuple[LimitName, ...]] = (
    "requests", "tokens", "cost", "streams", "upload_bytes",
)  # fmt: skip
"""In the order of ``domain.quotas.LIMITS``."""
Scope = Literal["principal", "tenant"]


@dataclass(frozen=True, slots=True)
class User:
    """Who uses something, and how much they may."""

    tenant: str
    subject: str
    own: Quota
    all: Quota
    """What the whole tenant may."""

    @property
    def limited(self) -> bool:
        """Whether there is anything to count."""
        return bool(self.own) or bool(self.all)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one request wants."""

    requests: int = 0
    tokens: int = 0
    cost: float = 0.0
    upload_bytes: int = 0
    stream: str = ""
    """Id of the stream that is to be open; one that is open already needs no other place."""
    turn: str = ""
    """What names the turn for all pods: asked for again, neither requests nor tokens count."""
    comes_back: bool = False
    """To a turn that was counted, as ``turn`` names it: that is a request of its own only where the
    turn is not known, or was asked for ``REPEATS_MAX`` times. Nothing is reserved."""


@dataclass(frozen=True, slots=True)
class Level:
    """How one limit stands."""

    scope: Scope
    name: LimitName
    limit: float
    left: float
    reset_s: float
    """After how long all of it is there again, if nothing more is used; 0 for streams."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a request. ``refused``: the limit for which to wait the longest."""

    levels: Sequence[Level] = ()
    refused: Level | None = None
    wait_s: float = 0.0
    """After how long the same may be let in, if nobody else is meanwhile."""
    known: bool = False
    """The turn was counted before."""


@dataclass(frozen=True, slots=True)
class OpenStream:
    """A stream that counts."""

    tenant: str
    subject: str
    stream: str


@dataclass(frozen=True, slots=True)
class Left:
    """What one attempt at a turn had taken when its pod left the turn to others."""

    attempt: int
    tokens: int
    cost: float
    """All that the turn had taken by then, as far as this attempt knows."""
    lost_tokens: int = 0
    lost_cost: float = 0.0
    """What of it no later attempt knows of: it stands in no journal."""


class UseCounts(Protocol):
    """Counts what is used. Thread safe; every call may raise ``StoreUnavailable``."""

    def take(self, user: User, wanted: Wanted) -> Verdict:
        """Count what is wanted, or refuse it and count nothing."""
        ...

    def look(self, user: User) -> Verdict:
        """Return how the limits stand; counts nothing and refuses nothing."""
        ...

    def settle(
        self, tenant: str, turn: str, *, tokens: int | None, cost: float | None, attempt: int = 0
    ) -> bool:
        """Count what a turn took in place of what was reserved; False: it was, or never reserved.

        ``attempt``: that which was under way. None: the caller does not know what it took; then as
        much counts as it told, or else was reserved, until it tells. May be repeated: only the
        first call counts.
        """
        ...

    def tell(self, tenant: str, turn: str, left: Left) -> bool:
        """Tell what an attempt took at a turn that others go on with, or end.

        It may come before ``settle`` or after, once for each attempt: what comes again is not
        counted again. False: the turn was settled by the same attempt, or nothing is reserved.
        """
        ...

    def forget(self, tenant: str, turn: str) -> bool:
        """Give back what is reserved for a turn that one ``take`` named and that did not begin.

        Once for each ``take``. False where another one holds it still, or it has ended. Taken
        again, the turn is reserved for again.
        """
        ...

    def keep(self, streams: Collection[OpenStream]) -> None:
        """Keep streams open for another ``STREAM_LEASE_S``; one that was lost counts again."""
        ...

    def end(self, stream: OpenStream) -> None:
        """Give the place of a stream back. May be repeated."""
        ...
