"""Work that may be done later, at least once: delayed jobs that every pod carries out.

Law 1: the same id is the same job. Who puts a job again, because a reply was lost or a pod died,
    changes nothing; so the id follows from what the job is about, never from chance.
Law 2: a job may be carried out more than once, also by two pods at one moment: a pod may die, or be
    silent for longer than its lease, between the effect and the note of it. A handler therefore
    does what may be repeated, or what has a key by which the receiver knows the repeat.
Law 3: what time it is, the store says. A pod with a wrong clock is neither early nor late.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from kotaemon_node.domain.acting_limits import LATER_ATTEMPTS_MAX
from kotaemon_node.domain.ids import ID_PATTERN

RECONCILE: Final = "reconcile"
FOLLOW_UP: Final = "follow_up"
SLOW_CALL: Final = "slow_call"
WEBHOOK: Final = "webhook"
CHANNEL_REPLY: Final = "channel_reply"

LaterState = Literal["waiting", "running", "dead"]

_NAME: Final = re.compile(ID_PATTERN, re.ASCII)


class Again(Exception):
    """Raised by a handler: carry the job out again in ``delay_s``. Counts as no attempt."""

    def __init__(self, delay_s: float, reason: str = "") -> None:
        super().__init__(reason)
        self.delay_s = delay_s


class Hopeless(Exception):
    """Raised by a handler: no further attempt can help; its text becomes the dead letter's."""


@dataclass(frozen=True, slots=True)
class LaterJob:
    """What is to be done. ``kind`` and ``fields`` (JSON) are known to whoever carries it out."""

    id: str
    """Any text; the same one is the same job, for ``LATER_DONE_KEPT_S`` also after its end."""
    kind: str
    tenant: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    due_in_s: float = 0.0
    attempts_max: int = LATER_ATTEMPTS_MAX
    attempt: int = 0
    """The how manieth this is, from 1; 0: it was not begun yet."""
    begun: int = 0
    """How often it was handed out, whatever came of it: unlike ``attempt`` it never falls."""
    begun_at: float = 0.0
    """When this one began, in seconds since the Unix epoch, by the store's clock."""

    @property
    def name(self) -> str:
        """How the store and the routes call it: the id, or a digest of one that is no legal id."""
        if _NAME.fullmatch(self.id) and self.id not in {".", ".."}:
            return self.id
        digest = hashlib.sha256(self.id.encode()).hexdigest()
        return f"{self.kind}-{digest[:32]}"


@dataclass(frozen=True, slots=True)
class Leased:
    """A job that ``holder`` carries out until its lease ends."""

    job: LaterJob
    holder: str
    """Names this one handing out; a later one has another."""
    late_s: float = 0.0
    """How long it was due."""
    age_s: float = 0.0
    """Since it was put, or revived."""
    error: str = ""
    """Why the attempt before failed."""


@dataclass(frozen=True, slots=True)
class LaterRow:
    """A job as people see it; times in seconds since the Unix epoch, by the store's clock."""

    name: str
    kind: str
    state: LaterState
    attempts: int
    attempts_max: int
    created_at: float
    due_at: float
    """When it is begun, or its lease ends; of a dead one: when it died."""
    error: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LaterCount:
    """How many jobs of one kind there are, in the whole cluster."""

    waiting: int
    """Running ones included."""
    late_s: float
    """For how long the oldest one that nobody began is due; 0: none is."""
    dead: int


class Later(Protocol):
    """The side of who has something to be done."""

    def put(self, job: LaterJob) -> bool:
        """Have it done; False where the id is known already, and nothing was changed.

        Raises ``Overloaded`` where the tenant has ``LATER_WAITING_MAX`` jobs, ``Invalid`` for more
        than ``LATER_JOB_BYTES_MAX``, ``StoreUnavailable``: then it may be put again.
        """
        ...


class LaterSource(Protocol):
    """The side of the pods that carry jobs out. Every method may raise ``StoreUnavailable``."""

    def take(self, free: Mapping[str, int], *, holder: str, lease_s: float) -> Sequence[Leased]:
        """Return jobs that are due, at most ``free`` of each kind, begun once more.

        Nobody else gets them for ``lease_s``; then whoever asks, so a dead pod's jobs go on. A
        lost reply costs them that time.
        """
        ...

    def renew(self, leased: Leased, *, lease_s: float) -> bool:
        """Begin the lease anew; False where somebody else has the job, or it ended."""
        ...

    def done(self, leased: Leased) -> None:
        """Note that its effect is there, whoever holds it now."""
        ...

    def again(self, leased: Leased, *, delay_s: float, error: str, counts: bool) -> bool:
        """Have it begun again in ``delay_s``; False where it is another's.

        ``counts``: whether this was one of its attempts.
        """
        ...

    def bury(self, leased: Leased, *, error: str) -> bool:
        """Make it a dead letter; False where it is another's."""
        ...

    def counts(self, kinds: Sequence[str]) -> Mapping[str, LaterCount]:
        """Return how many there are of each kind."""
        ...


class LaterDesk(Protocol):
    """The side of people. Jobs of one tenant are seen by that tenant alone."""

    def waiting(self, tenant: str, *, limit: int) -> Sequence[LaterRow]:
        """Return jobs that have not ended, those that are due first."""
        ...

    def dead(self, tenant: str, *, limit: int) -> Sequence[LaterRow]:
        """Return dead letters, newest first. Of more than ``LATER_DEAD_MAX`` the oldest go."""
        ...

    def retry(self, tenant: str, name: str) -> None:
        """Make a dead letter a job again, due now, with all its attempts; ``NotFound``."""
        ...

    def drop(self, tenant: str, name: str) -> None:
        """Remove a dead letter; its id counts as done for a while. ``NotFound``."""
        ...
