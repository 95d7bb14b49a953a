"""Following a session: the frames of its turns, one turn after the other, from one moment on.

Law 1: turns are told in the order in which they were accepted, which is the order in which they
    run. A turn that is cancelled while it waits enters the history before the one that runs, so
    places in the history do not say where a reader stands; the moments of acceptance do.
Law 2: each look reads the history from the last version known, together with the open turns, at one
    moment. So a turn that began and ended between two looks is found, whatever signals were lost.
Law 3: how one turn is followed is the business of ``following``; what it raises ends the session's
    stream as well, and the reader comes back with the last frame that it has.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from operator import itemgetter

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Draining, Gone, SessionNotFound, TurnNotFound
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.handoff import Handoff
from kotaemon_node.domain.session import Principal, SessionKey, SessionPlace, Turn, TurnKey
from kotaemon_node.domain.turn import FINISHED
from kotaemon_node.engine.following import Following
from kotaemon_node.ports.frame_log import FrameLog
from kotaemon_node.ports.sessions import Activity, SessionStore

# A subscription begins a moment after the first look, so the next looks come soon. Later only a
# lost signal is at stake, and a pod holds thousands of sessions in which nothing happens.
_FIRST_POLL_S = 0.05
_QUIET_POLL_S = 5 * limits.FOLLOWER_POLL_S
_HISTORY_READ_MAX = 50
_ANYWHERE = (0.0, 0)
_SAID = ("author", "name", "event")


@dataclass(frozen=True, slots=True)
class SessionFollowing:
    """Reads sessions for clients. ``quiet_s`` is the longest silence while no turn is open."""

    sessions: SessionStore
    frames: FrameLog
    turns: Following
    leaving: Callable[[], bool]
    """Tells whether this pod drains."""
    quiet_s: float = limits.HEARTBEAT_IDLE_S

    def follow(
        self, key: SessionKey, principal: Principal, place: SessionPlace
    ) -> Iterator[Frame | None]:
        """See ``api.services.TurnService.follow_session``."""
        reader = _Reader(self, key, principal)
        end_watch = self.frames.watch(key, reader.wake)
        try:
            reader.begin(place)
            yield None  # the answer begins now, though nothing may happen for long
            yield from reader.greeting()
            yield from reader.read()
        finally:
            end_watch()


@dataclass(frozen=True, slots=True)
class _Told:
    """A turn that was announced and whose frames above ``after`` are to come."""

    turn: Turn
    after: int


class _Reader:
    """One client's place in a session."""

    def __init__(self, following: SessionFollowing, key: SessionKey, principal: Principal) -> None:
        self._following = following
        self._key = key
        self._principal = principal
        self._epoch = ""
        self._version = 0
        self._behind = _ANYWHERE
        """Turns accepted before this place were seen, in versions up to ``_behind_until``."""
        self._behind_until = 0
        self._open: set[str] = set()
        """Turns that were met before they are in the history that was read."""
        self._announced: deque[Turn] = deque()
        self._agenda: deque[_Told] = deque()
        self._handoff: Handoff | None = None
        self._woken = threading.Event()
        self._stranger = False
        """A turn that was not met yet has written something."""

    def wake(self, turn_id: str, _seq: int) -> None:
        """Hear that frames were stored; called from the task that listens."""
        if turn_id not in self._open:
            self._stranger = True
        self._woken.set()

    # --- where to begin -------------------------------------------------------------------------

    def begin(self, place: SessionPlace) -> None:
        """Find the place. Raises ``SessionNotFound``, and ``Gone`` where the store lost it."""
        now = self._following.sessions.activity(
            self._key, self._principal, after_version=0, limit=0
        )
        self._epoch, self._version = now.epoch, now.version
        if place.turn_id:
            self._begin_behind(place, now)
        elif place.version is None:
            self._begin_now(now)
        elif place.version > now.version:
            raise Gone("the session has fewer turns than you have seen; read it again")
        else:
            self._version = place.version

    def greeting(self) -> Iterator[Frame]:
        """Tell who begins now that a person has the session; others meet the turn that tells."""
        if self._handoff is not None:
            yield Frame("handoff", self._handoff.frame(), "", "", seq=None)

    def _begin_now(self, now: Activity) -> None:
        self._handoff = now.handoff
        for turn_id in now.open:
            # Its last number first: a turn that ends in between still has its end before it.
            last = self._stored_last(turn_id)
            turn = self._turn(turn_id)
            if turn is not None:
                self._open.add(turn_id)
                self._meet(turn, after=last)

    def _begin_behind(self, place: SessionPlace, now: Activity) -> None:
        seen = TurnKey(self._key, place.turn_id)
        try:
            turn, last_seq = self._following.sessions.turn_and_last_seq(seen, self._principal)
        except TurnNotFound as error:
            raise Gone("the session does not know the turn that you have seen") from error
        if place.seq > (last_seq or self._stored_last(turn.turn_id)):
            raise Gone("the store does not know the frames that you have seen; read the turn")
        if turn.state not in FINISHED:
            self._open.add(turn.turn_id)
        if turn.state not in FINISHED or place.seq != last_seq:
            self._meet(turn, after=place.seq)
        newest = max(now.version, turn.version)
        # So many turns could wait behind it, and enter the history before it.
        self._version = max(0, (turn.version or newest) - limits.QUEUED_TURNS_MAX)
        self._behind = _acceptance(turn, now)
        self._behind_until = newest

    # --- reading --------------------------------------------------------------------------------

    def read(self) -> Iterator[Frame | None]:
        """Yield for ever."""
        silence_s, pause_s = 0.0, _FIRST_POLL_S
        while True:
            self._woken.clear()
            yield from self._news()
            if self._agenda:
                yield from self._frames_of(self._agenda.popleft())
                silence_s, pause_s = 0.0, _FIRST_POLL_S
                continue
            if self._following.leaving():
                raise Draining("this pod is leaving; follow the session on another one")
            wait_s = min(pause_s, self._following.quiet_s - silence_s)
            if self._woken.wait(wait_s):
                continue
            silence_s += wait_s
            pause_s = min(2 * pause_s, _QUIET_POLL_S)
            if silence_s >= self._following.quiet_s:
                silence_s = 0.0
                yield None

    def _news(self) -> Iterator[Frame]:
        """Look for turns, and announce those that were not met yet."""
        self._stranger = False
        if len(self._agenda) < _HISTORY_READ_MAX:  # else there is enough to tell for now
            self._meet_all(self._look())
        while self._announced:
            turn = self._announced.popleft()
            fields = {"message": turn.message, "state": turn.state.value}
            fields |= {name: said for name in _SAID if (said := getattr(turn, name))}
            if turn.origin:
                fields |= {"origin": turn.origin, "ref": turn.ref}
            yield Frame("turn", fields, turn.turn_id, turn.trace_id, seq=None)

    def _frames_of(self, told: _Told) -> Iterator[Frame | None]:
        key = TurnKey(self._key, told.turn.turn_id)
        following = self._following.turns.follow(key, self._principal, after=told.after)
        try:
            # Whoever follows is closed with the stream, not when its memory is collected.
            with closing(following):  # type: ignore[type-var]
                for frame in following:
                    yield frame
                    if self._stranger:
                        yield from self._news()
        except TurnNotFound:
            return  # the store lost it, or the session with it: the next look tells
        except SessionNotFound as error:
            raise Gone("the session was deleted") from error

    # --- looking --------------------------------------------------------------------------------

    def _look(self) -> list[Turn]:
        """Return turns that were not met yet, as they were accepted."""
        try:
            now = self._following.sessions.activity(
                self._key, self._principal, after_version=self._version, limit=_HISTORY_READ_MAX
            )
        except SessionNotFound as error:
            raise Gone("the session was deleted") from error
        if now.epoch != self._epoch or now.version < self._version:
            raise Gone("the session is not the one that you followed; read it again")
        if not now.past and self._version < now.version:
            raise Gone("the store has lost turns of this session; read it again")
        fresh = [turn for turn in now.past if turn.turn_id not in self._open]
        self._open.difference_update(turn.turn_id for turn in now.past)
        self._version += len(now.past)
        if self._version == now.version:  # else what is open comes behind history still to be read
            fresh += self._fresh_open(now)
        placed = sorted(((_acceptance(turn, now), turn) for turn in fresh), key=itemgetter(0))
        met = [turn for place, turn in placed if place > self._behind]
        if self._version >= self._behind_until:
            self._behind = _ANYWHERE
        return met

    def _fresh_open(self, now: Activity) -> Iterator[Turn]:
        for turn_id in now.open:
            if turn_id not in self._open:
                turn = self._turn(turn_id)
                if turn is not None:
                    self._open.add(turn_id)
                    yield turn

    def _meet_all(self, turns: list[Turn]) -> None:
        for turn in turns:
            self._meet(turn, after=0)

    def _meet(self, turn: Turn, *, after: int) -> None:
        self._announced.append(turn)
        self._agenda.append(_Told(turn, after))

    def _turn(self, turn_id: str) -> Turn | None:
        try:
            return self._following.sessions.turn(TurnKey(self._key, turn_id), self._principal)
        except TurnNotFound:
            return None

    def _stored_last(self, turn_id: str) -> int:
        key = TurnKey(self._key, turn_id)
        return self._following.frames.read(key, after=0, limit=1, trace_id="").last


def _acceptance(turn: Turn, now: Activity) -> tuple[float, int]:
    """Return what orders turns as they were accepted.

    Those of one millisecond by their versions; of an open turn, that which it is about to get.
    """
    if turn.version:
        return turn.created_at, turn.version
    waits = now.open.index(turn.turn_id) if turn.turn_id in now.open else 0
    return turn.created_at, now.version + 1 + waits
