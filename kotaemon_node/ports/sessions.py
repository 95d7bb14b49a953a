"""The store of sessions and turns: what it guarantees to every pod.

One implementation speaks Redis; the rules live there in Lua, because only the store can decide
between pods. Every method that names a session checks that the principal may see it and raises
``SessionNotFound`` otherwise. Every method may raise ``StoreUnavailable``; every method may be
repeated after a lost reply without a second effect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Protocol

from kotaemon_node.domain import limits
from kotaemon_node.domain.dialogue import DialogueState
from kotaemon_node.domain.frames import Frame, FrameBody
from kotaemon_node.domain.handoff import Handoff
from kotaemon_node.domain.session import (
    OnBusy,
    Principal,
    SessionKey,
    SessionRow,
    SessionView,
    Turn,
    TurnKey,
)
from kotaemon_node.domain.summary import Summary

ALL_SHARDS: Final = range(limits.RUNNING_SHARDS)
"""The parts of the index of running turns."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one pod incarnation to write to one turn. Valid while the fence stands."""

    key: TurnKey
    epoch: str
    fence: int
    owner: str
    trace_id: str
    accepted_in: str = ""
    """The epoch in which the turn was accepted, where the store still knows it."""


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """A request to run a turn."""

    key: TurnKey
    principal: Principal
    digest: str
    """Digest of the request's body: the same id with another digest is a conflict."""
    message: str
    options: Mapping[str, Any]
    """What the executor needs besides the message: ``kb``, ``min_generation``, …"""
    on_busy: OnBusy
    owner: str
    trace_id: str
    create_session: bool
    """Whether an unknown session id makes a new session (open mode) or is an error."""
    new_epoch: str
    """The epoch that the session gets if this call creates it, or tells that the store has lost
    something of it. Random, so it names the call, too: repeated after a lost reply, it owns what it
    owned."""
    epoch: str = ""
    """The epoch by which the caller knows the session: in another one nothing is accepted."""
    listed: bool = True
    """Whether a session that it makes stands in the lists of sessions; it is read by its id."""
    kb: str = ""
    """The knowledge base that is to answer; "": none is needed."""
    generation: int = 0
    """The one of ``kb`` that the caller serves: where the session has seen a newer one, nothing is
    accepted."""


class ClaimOutcome(Enum):
    """What a claim found."""

    OWNED = "owned"
    """New: this pod executes it now."""
    QUEUED = "queued"
    """New: it waits behind another turn of the session."""
    ATTACHED = "attached"
    """Known and not finished: follow its frames."""
    FINISHED = "finished"
    """Known and finished: read the turn."""


@dataclass(frozen=True, slots=True)
class Work:
    """A turn that this pod owns and all that it needs to execute it."""

    lease: Lease
    message: str
    options: Mapping[str, Any]
    session: SessionView
    """With its last turns, ``HISTORY_READ_TURNS`` at most: all that no summary tells of."""
    attempts: int
    """1 for the first owner."""
    stored: tuple[Frame, ...] = ()
    """Frames that earlier owners stored, from number 1."""
    created_at: float = 0.0
    losses: int = 0
    """How many owners died of it, or got stuck in it."""
    journal: Mapping[str, Any] = field(default_factory=dict)
    """What earlier owners decided, by step; replayed, never decided again."""
    ending: str = ""
    """``cancel`` or ``interrupt``: the turn is to be ended as it stands."""
    age_s: float = 0.0
    """Time since the turn was first executed, by the store's clock."""
    owners: tuple[str, ...] = ()
    """Who had it before this owner, in order."""
    unmoved: bool = False
    """No turn of the session ended anywhere else since this pod remembers it, if any ended."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a ``ClaimRequest``. ``work`` is there when OWNED."""

    outcome: ClaimOutcome
    work: Work | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How a turn ends: the turn as it goes into the history and its terminal frame."""

    turn: Turn
    terminal: FrameBody
    seq: int
    """Number of the terminal frame."""
    generations: Mapping[str, int] = field(default_factory=dict)
    state: DialogueState | None = None
    """The session's from now on; None leaves it as it is."""
    handoff: Handoff | None = None
    """From here on a person has the session; its frame comes before the terminal one."""
    summary: Summary | None = None
    """Of what is not read whole any more; None, and one that tells of less, leaves it as it is."""


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit made."""

    version: int
    hash: str
    next: Work | None
    """The next queued turn, now running with this pod as owner."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """An entry of the index of running turns. Most are well; recovery decides which are not.

    ``state`` and ``owner`` are "" where the turn is not an open one; ``committed`` says that it is
    in the history, so that only its events may be missing; ``blocked`` that another turn of its
    session runs.
    """

    key: TurnKey
    age_s: float
    state: str
    owner: str
    committed: bool
    blocked: bool
    silent_s: float = 0.0
    """Time since the running turn was last seen to make progress, within ``PROGRESS_NOTED_S``."""
    aside: bool = False
    """It stands apart from those that run (``SessionStore.set_aside``)."""


@dataclass(frozen=True, slots=True)
class SessionHead:
    """What an event says of a session."""

    epoch: str
    version: int
    hash: str


@dataclass(frozen=True, slots=True)
class Activity:
    """What happens in a session, as it stands at one moment.

    ``past`` are finished turns in the order of their versions, ``open`` the ids of those that run
    or wait, in the order in which they run.
    """

    epoch: str
    version: int
    open: tuple[str, ...]
    past: tuple[Turn, ...]
    handoff: Handoff | None = None


class SessionStore(Protocol):
    """Sessions and turns."""

    def create(
        self, key: SessionKey, principal: Principal, *, epoch: str, fields: Mapping[str, Any]
    ) -> SessionView:
        """Make a session; ``fields``: user_id, channel, context. The same epoch twice makes one.

        Raises ``Conflict`` when the id is taken.
        """
        ...

    def load(
        self,
        key: SessionKey,
        principal: Principal,
        *,
        after_version: int,
        limit: int,
        epoch: str = "",
    ) -> SessionView:
        """Return the session with at most ``limit`` turns after ``after_version``; the one door.

        Raises ``Gone`` where there are fewer turns than ``after_version``, where ``epoch`` is said
        and the session has another one or is no more, and, as ``claim`` does, where the store has
        lost something.
        """
        ...

    def list(
        self, principal: Principal, *, offset: int, limit: int, everybodys: bool = False
    ) -> Sequence[SessionRow]:
        """Return the principal's sessions, newest first; ``everybodys``: those of its tenant.

        Whether the principal may see those is the caller's to judge.
        """
        ...

    def delete(self, key: SessionKey, principal: Principal) -> None:
        """Remove the session everywhere; a turn under way ends with ``gone``.

        The ids of its turns are kept for ``DELETED_KEPT_S``: a claim of one raises ``Gone``.
        """
        ...

    def head(self, key: SessionKey) -> SessionHead | None:
        """Return what events say of the session; None when there is none."""
        ...

    def activity(
        self, key: SessionKey, principal: Principal, *, after_version: int, limit: int
    ) -> Activity:
        """Return the open turns with at most ``limit`` finished ones after ``after_version``."""
        ...

    def turn(self, key: TurnKey, principal: Principal) -> Turn:
        """Return a turn in whatever state; raises ``TurnNotFound``."""
        ...

    def turn_and_last_seq(self, key: TurnKey, principal: Principal) -> tuple[Turn, int]:
        """The same with the number of the turn's terminal frame, 0 while it is not finished."""
        ...

    def claim(self, request: ClaimRequest) -> Claim:
        """Accept, recognise or refuse a turn in one step.

        Raises ``TurnConflict`` (same id, other digest), ``SessionBusy`` (``on_busy=reject``),
        ``Overloaded`` (the session's queue is full), ``Gone`` (its session was deleted).

        ``Gone`` also where this pod remembers more of the session than the store has: then nothing
        was accepted, the session has another epoch from now on, and the loss is told once; the next
        claim goes on from what is left. Deletion and the end of a session's life are no loss.
        """
        ...

    def commit(self, lease: Lease, ending: Ending, *, take_next: bool) -> Committed:
        """End the turn: terminal frame, history, version and hash, next turn, all or nothing.

        Raises ``Fenced`` when the lease no longer stands, ``Gone`` when the session was deleted.
        """
        ...

    def relist(self, key: SessionKey) -> None:
        """Put the session where its last activity belongs in the lists that show it."""

    def settle(self, key: TurnKey, *, listed: bool = False) -> None:
        """Forget the running turn, whose events are out; unless ``listed``, ``relist`` as well."""
        ...

    def set_aside(self, key: TurnKey) -> None:
        """Note that the bus did not take the turn's events: apart from those that run.

        May be repeated; does nothing where the turn is not in the index.
        """
        ...

    def forget(self, key: TurnKey, *, older_than_s: float) -> None:
        """Remove the turn from that index if its entry is still older than ``older_than_s``."""
        ...

    def seize(
        self, key: TurnKey, owner: str, *, from_owner: str | None, ending: str = ""
    ) -> Work | None:
        """Become the owner of an unfinished turn under a higher fence; None: nothing to take.

        With ``from_owner`` it is taken only from that (dead) owner and counts as a loss, and, by
        another owner, as an attempt; a
        waiting turn, or one handed over ("" as owner), is taken when nothing runs before it.
        None takes it from whoever has it, also out of the queue, in order to end it as ``ending``
        says. The owner before is told (``frame_log.FrameLog.watch_losses``).
        """
        ...

    def release(self, lease: Lease) -> None:
        """Hand a running turn over to whoever takes it first; raises ``Fenced``, ``Gone``."""
        ...

    def orphans(self, *, limit: int, shards: Sequence[int] = ALL_SHARDS) -> Sequence[Orphan]:
        """Return turns in the running index, oldest first: at most ``limit`` a shard of those that
        were not set aside, and as many of those that were.

        ``shards``: those of its parts that are looked at, of ``RUNNING_SHARDS``.
        """
        ...
