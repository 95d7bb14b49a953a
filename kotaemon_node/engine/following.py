"""Following a turn: its frames in order, from memory where it runs here, else from the store.

A store that was set back may have the turn end earlier than it was shown, not have it at all, or
have another owner's frames under the numbers that were shown. Whoever followed it is told ``gone``,
and is never shown another continuation: the last frame shown is compared wherever frames are read.
"""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Draining, Gone, SessionNotFound, TurnNotFound
from kotaemon_node.domain.frames import Frame
from kotaemon_node.domain.session import Principal, Turn, TurnKey
from kotaemon_node.domain.turn import FINISHED
from kotaemon_node.engine.live import LiveTurn, LiveTurns
from kotaemon_node.engine.waiting import Waiter
from kotaemon_node.ports.frame_log import FrameLog, StoredFrames
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.sessions import SessionStore

# The subscription may begin a moment after the first read, and a signal may be lost: so a follower
# looks again soon after each frame, then ever more rarely, up to ``FOLLOWER_POLL_S``.
_FIRST_POLL_S = 0.05
# An owner that lives stores again what a store that was set back has lost: with its next frame.
# So many looks in a row, about 1.5 s, may find less than was shown here.
_SHORT_LOOKS_MAX = 5


@dataclass(frozen=True, slots=True)
class Following:
    """Reads turns for clients. ``tick_s`` is the longest silence before a None is yielded."""

    sessions: SessionStore
    frames: FrameLog
    live: LiveTurns
    rescue: Callable[[TurnKey, Turn], None]
    """Takes a turn over if nobody executes it."""
    leaving: Callable[[], bool]
    """Tells whether this pod drains."""
    clock: Clock
    count_gone: Callable[[], None] = lambda: None
    """Is called when somebody is told that the store lost what was shown of a turn."""
    tick_s: float = limits.HEARTBEAT_RUNNING_S

    def follow(
        self, key: TurnKey, principal: Principal, *, after: int, stay: bool = False
    ) -> Iterator[Frame | None]:
        """See ``api.services.TurnService.follow``.

        A pod that drains sends away, by raising ``Draining``, whoever follows what it does not
        execute itself; ``stay`` is for callers that cannot come back.
        """
        try:
            turn, last_seq = self.sessions.turn_and_last_seq(key, principal)
        except (SessionNotFound, TurnNotFound) as error:
            if after == 0:
                raise
            # Whoever has seen frames of it knows that there was one.
            raise Gone("the store does not know the turn that you have seen") from error
        if turn.state in FINISHED and after == last_seq:
            return  # all of it was seen
        reader = _Reader(self, key, principal, turn.trace_id, after=after, stay=stay)
        try:
            while not reader.over:
                live = self.live.get(key)
                if live is not None and live.last >= reader.position:
                    yield from reader.from_memory(live)
                else:
                    yield from reader.from_store()
        except Gone:
            self.count_gone()
            raise

    def wait(self, key: TurnKey, principal: Principal, *, timeout_s: float) -> Turn | None:
        """See ``api.services.TurnService.wait``."""
        deadline_s = self.clock.monotonic_s() + timeout_s
        # Most turns end here, soon: what was committed is known without asking for it again.
        live = self.live.get(key)
        if live is not None:
            turn = live.ended(timeout_s=min(timeout_s, self.tick_s))
            if turn is not None:
                return turn
        for frame in self.follow(key, principal, after=0, stay=True):
            if frame is not None and frame.terminal:
                return self.sessions.turn(key, principal)
            if self.clock.monotonic_s() >= deadline_s:
                return None
        return self.sessions.turn(key, principal)


class _Reader:
    """One client's place in one turn."""

    def __init__(
        self,
        following: Following,
        key: TurnKey,
        principal: Principal,
        trace_id: str,
        *,
        after: int,
        stay: bool,
    ) -> None:
        self._following = following
        self._key = key
        self._principal = principal
        self._trace_id = trace_id
        self._stay = stay
        self._newest: Frame | None = None
        """The last numbered frame that was shown here."""
        self._short_looks = 0
        self.position = after
        self.over = False

    def from_memory(self, live: LiveTurn) -> Iterator[Frame | None]:
        """Yield until the turn ends, or leaves this pod."""
        self._compare(live.frame(self.position))
        closed, tick_s = False, self._following.tick_s
        waiter = Waiter(self._following.live.time)
        while not closed and not self.over:
            frames, closed = live.after(self.position, timeout_s=tick_s, waiter=waiter)
            yield from self._shown(frames)
            if not frames and not closed:
                yield None
                now_s = self._following.clock.monotonic_s()
                if live.to_look(now_s, every_s=tick_s / 2) and self._stored_last() > live.last:
                    # Written by another pod, or by this one and not shown yet: the store knows.
                    live.doubt()

    def from_store(self) -> Iterator[Frame | None]:
        """Yield until the turn ends, or comes to this pod."""
        woken = threading.Event()

        def wake(turn_id: str, _seq: int) -> None:
            if turn_id in {self._key.turn_id, ""}:
                woken.set()

        end_watch = self._following.frames.watch(self._key.session, wake)
        try:
            silence_s, pause_s = 0.0, _FIRST_POLL_S
            while not self.over:
                woken.clear()
                frames = self._read()
                yield from self._shown(frames)
                if not frames and self._comes_here():
                    return
                if frames:
                    silence_s, pause_s = 0.0, _FIRST_POLL_S
                wait_s = min(pause_s, self._following.tick_s - silence_s)
                if len(frames) == limits.FRAMES_READ_MAX or woken.wait(wait_s):
                    continue
                silence_s += wait_s
                pause_s = min(2 * pause_s, limits.FOLLOWER_POLL_S)
                if silence_s >= self._following.tick_s:
                    silence_s = 0.0
                    yield None
        finally:
            end_watch()

    def _comes_here(self) -> bool:
        """Tell whether this pod executes the turn, taking it over if nobody else does.

        Raises ``Draining`` where the reader is better served by another pod.
        """
        if self._executed_here():
            return True
        if self._following.leaving() and not self._stay:
            raise Draining("this pod is leaving; another one goes on")
        turn, _ = self._turn()
        if turn.state not in FINISHED:
            self._following.rescue(self._key, turn)
        return self._executed_here()

    def _turn(self) -> tuple[Turn, int]:
        """Read the turn, which was there when this reader began."""
        try:
            return self._following.sessions.turn_and_last_seq(self._key, self._principal)
        except (SessionNotFound, TurnNotFound) as error:
            raise Gone("the session was deleted, or the store has lost this turn") from error

    def _compare(self, stored: Frame | None) -> None:
        """Raise ``Gone`` unless ``stored`` is the last frame that was shown here."""
        if self._newest is not None and (stored is None or not _same(stored, self._newest)):
            raise Gone("the store has lost frames that you have seen; read the turn")

    def _executed_here(self) -> bool:
        live = self._following.live.get(self._key)
        return live is not None and live.last >= self.position

    def _stored_last(self) -> int:
        return self._look().last

    def _kept(self) -> bool:
        return self._look().kept

    def _look(self) -> StoredFrames:
        return self._following.frames.read(
            self._key, after=self.position, limit=1, trace_id=self._trace_id
        )

    def _read(self) -> tuple[Frame, ...]:
        again = int(self._newest is not None)  # the last one shown, to be compared
        stored = self._following.frames.read(
            self._key,
            after=self.position - again,
            limit=limits.FRAMES_READ_MAX + again,
            trace_id=self._trace_id,
        )
        # What was lost may be stored again between the two commands of a read: none came then.
        if stored.kept and self.position <= stored.last and len(stored.frames) >= again:
            self._short_looks = 0
            if again:
                self._compare(stored.frames[0])
            return stored.frames[again:]
        turn, last_seq = self._turn()
        if turn.state in FINISHED and not stored.kept:
            # One that began and ended between the two reads has its frames by now.
            return () if self._kept() else self._summary(turn, last_seq)
        self._short_looks += 1
        if again and turn.state not in FINISHED and self._short_looks <= _SHORT_LOOKS_MAX:
            return ()
        if self.position > max(stored.last, last_seq):
            raise Gone("the store does not know the frames that you have seen; read the turn")
        return ()

    def _summary(self, turn: Turn, last_seq: int) -> tuple[Frame, ...]:
        """Return what is left to say of a finished turn whose frames are no longer kept."""
        if self.position > last_seq:
            raise Gone("the turn has fewer frames than you have seen; read the turn")
        self.over = True
        if self.position == last_seq:
            return ()
        snapshot = Frame(
            type="snapshot",
            fields={"content": turn.answer, "last": last_seq - 1},
            turn_id=turn.turn_id,
            trace_id=turn.trace_id,
            seq=None,
        )
        return (snapshot, terminal_frame(turn, seq=last_seq))

    def _shown(self, frames: Sequence[Frame]) -> Iterator[Frame]:
        for frame in frames:
            if frame.seq is not None:
                self.position, self._newest = frame.seq, frame
            if frame.terminal:
                self.over = True
                yield self._complete(frame)
                return
            yield frame

    def _complete(self, frame: Frame) -> Frame:
        """Fill in the answer, which is kept once, in the history."""
        if frame.type != "done" or "answer" in frame.fields:
            return frame
        turn, _ = self._turn()
        return replace(
            frame, fields={**frame.fields, "answer": turn.answer, "version": turn.version}
        )


def _same(one: Frame, other: Frame) -> bool:
    """Tell whether two frames say the same; one in memory may hold tuples where JSON has lists."""
    if one.type != other.type:
        return False
    texts = (json.dumps(dict(frame.fields), sort_keys=True) for frame in (one, other))
    return next(texts) == next(texts)


def terminal_frame(turn: Turn, *, seq: int) -> Frame:
    """Return the frame that ends a finished turn, made from its history."""
    if turn.error is not None:
        return Frame("error", turn.error, turn.turn_id, turn.trace_id, seq)
    fields = {
        "state": turn.state.value,
        "answer": turn.answer,
        "version": turn.version,
        "generation": dict(turn.generation),
        "usage": dict(turn.usage),
        "timings": dict(turn.timings),
        "degraded": turn.degraded,
        "cached": turn.cached,
    }
    # What few turns have: not on the wire of all others.
    few = ("author", "name", "event", "handoff")
    fields |= {name: value for name in few if (value := getattr(turn, name))}
    if turn.origin:
        fields |= {"origin": turn.origin, "ref": turn.ref}
    return Frame("done", fields, turn.turn_id, turn.trace_id, seq)
