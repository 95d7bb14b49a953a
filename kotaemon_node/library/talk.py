"""Where a talk is kept: what a turn needs of it, and the place that is this process alone."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, Protocol

from kotaemon_node.domain.dialogue import DialogueState
from kotaemon_node.domain.errors import SessionBusy
from kotaemon_node.domain.ids import DEFAULT_TENANT
from kotaemon_node.domain.session import SessionKey, SessionView, Turn, TurnKey
from kotaemon_node.engine.memory import MemoryRule
from kotaemon_node.ports.frame_log import FrameBatch
from kotaemon_node.ports.runtime import Clock, IdSource
from kotaemon_node.ports.sessions import Committed, Ending, Lease, Work


class Frames(Protocol):
    """Takes the frames of turns; the writing half of ``ports.frame_log.FrameLog``."""

    def append(self, batches: Sequence[FrameBatch]) -> Sequence[Exception | None]:
        """Store the batches; one result each, in order."""
        ...


class Place(Protocol):
    """Keeps one talk. One turn of it runs at a time."""

    @property
    def frames(self) -> Frames:
        """Where frames of its turns go."""
        ...

    def view(self) -> SessionView:
        """Return the session as it stands, with the turns that no summary tells of."""
        ...

    def begin(self, message: str) -> Work:
        """Accept a message and become the owner of its turn; ``SessionBusy`` while one runs."""
        ...

    def commit(self, lease: Lease, ending: Ending, *, take_next: bool) -> Committed:
        """End the turn, as ``ports.sessions.SessionStore.commit``."""
        ...

    def release(self, lease: Lease) -> None:
        """Give the turn up."""
        ...

    def announce(self, work: Work, committed: Committed, turn: Turn) -> None:
        """Tell others that the turn was committed."""
        ...

    def owning(self) -> AbstractContextManager[None]:
        """While the block runs, this process is alive to others who share the talk."""
        ...

    def outcome(self, work: Work) -> Turn | None:
        """Return a turn that somebody else ended; None: nobody else can."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


class _Nowhere:
    """Frames of a talk that only this process follows: it has them in its memory."""

    def append(self, batches: Sequence[FrameBatch]) -> Sequence[Exception | None]:
        return [None] * len(batches)


class InProcess:
    """A talk that lasts as long as this process. Not thread safe: a talk has one turn at a time."""

    def __init__(
        self,
        session_id: str,
        *,
        rule: MemoryRule,
        clock: Clock,
        ids: IdSource,
        head: Mapping[str, Any],
    ) -> None:
        """``head``: ``user_id``, ``channel`` and ``context`` of the session."""
        self._key = SessionKey(DEFAULT_TENANT, session_id)
        self._kept = rule.max_history + rule.summary_threshold
        self._clock, self._ids = clock, ids
        now_s = clock.now_s()
        self._view = SessionView(
            session_id, ids.new_id(), 0, "", now_s, now_s, (), state=DialogueState(), **head
        )
        self._fence = 0
        self._running = False
        self.frames: Frames = _Nowhere()

    def view(self) -> SessionView:
        """See the protocol."""
        return self._view

    def begin(self, message: str) -> Work:
        """See the protocol."""
        if self._running:
            raise SessionBusy("a turn of this talk is running")
        self._running, self._fence = True, self._fence + 1
        key = TurnKey(self._key, self._ids.new_id())
        lease = Lease(key, self._view.epoch, self._fence, "library", self._ids.new_id())
        now_s = self._clock.now_s()
        return Work(lease, message, {}, self._view, attempts=1, created_at=now_s)

    def commit(self, lease: Lease, ending: Ending, *, take_next: bool) -> Committed:
        """See the protocol."""
        view, version = self._view, self._view.version + 1
        summary = ending.summary
        turns = (*view.turns, replace(ending.turn, version=version))[-self._kept :]
        self._view = replace(
            view,
            version=version,
            active_at=self._clock.now_s(),
            turns=turns,
            summary=view.summary if summary is None else summary.text,
            summary_to=view.summary_to if summary is None else summary.to,
            state=view.state if ending.state is None else ending.state,
            generations=ending.generations or view.generations,
        )
        self._running = False
        return Committed(version, "", None)

    def release(self, lease: Lease) -> None:
        """See the protocol."""
        self._running = False

    def announce(self, work: Work, committed: Committed, turn: Turn) -> None:
        """See the protocol: there is nobody else."""

    def owning(self) -> AbstractContextManager[None]:
        """See the protocol."""
        return nullcontext()

    def outcome(self, work: Work) -> Turn | None:
        """See the protocol."""
        return None

    def close(self) -> None:
        """See the protocol: it holds nothing."""
