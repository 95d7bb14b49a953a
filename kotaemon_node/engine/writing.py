"""Writing a turn's frames: the next number, the text so far, and what an earlier owner left."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Overloaded, StoreUnavailable
from kotaemon_node.domain.frames import Frame, FrameBody
from kotaemon_node.engine.group_commit import GroupCommit
from kotaemon_node.engine.live import LiveTurn
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.sessions import FrameBatch, Lease

_STORE_RETRY_S = 0.2

T = TypeVar("T")


def assembled_text(frames: Sequence[Frame]) -> str:
    """Return the answer that the frames make: their text since the last ``restart``."""
    pieces: list[str] = []
    for frame in frames:
        if frame.type == "restart":
            pieces.clear()
        elif frame.type == "text":
            pieces.append(frame.fields["content"])
    return "".join(pieces)


def stored_docs(frames: Sequence[Frame]) -> tuple[Mapping[str, Any], ...]:
    """Return the documents of the newest ``source`` frame."""
    for frame in reversed(frames):
        if frame.type == "source":
            return tuple(frame.fields["docs"])
    return ()


class FrameWriter:
    """Stores and then shows the frames of one turn, going on behind those of an earlier owner.

    The text of an earlier owner is the beginning of the answer. ``text`` is given the whole answer
    from its beginning and shows only what is new; where it does not begin with what was shown, a
    ``restart`` frame voids that and the answer is shown anew.
    """

    def __init__(
        self,
        lease: Lease,
        stored: Sequence[Frame],
        *,
        commit: GroupCommit,
        live: LiveTurn,
        clock: Clock,
    ) -> None:
        self._lease = lease
        self._commit = commit
        self._live = live
        self._clock = clock
        self._shown = assembled_text(stored)
        self._docs = stored_docs(stored)
        self._written = ""
        self.seq = stored[-1].seq or 0 if stored else 0
        self.first_text_at_s: float | None = None

    @property
    def answer(self) -> str:
        """The answer as far as it was shown by this owner and those before it."""
        return self._shown

    @property
    def docs(self) -> tuple[Mapping[str, Any], ...]:
        """The documents of the ``source`` frame that stands."""
        return self._docs

    @property
    def prefix(self) -> str:
        """What an earlier owner showed and this one has not confirmed yet."""
        return self._shown if not self._written else ""

    def status(self, phase: str, *, latency_s: float) -> None:
        """Show in which phase the turn is."""
        self._put([FrameBody("status", {"phase": phase, "latency": round(latency_s, 4)})])

    def source(self, docs: Sequence[Mapping[str, Any]]) -> None:
        """Show the documents that the text cites; nothing where they were shown before."""
        if tuple(docs) == self._docs:
            return
        bodies = [FrameBody("source", {"docs": list(docs)})]
        if self._shown:
            # The text before cites other documents under the same numbers.
            bodies.insert(0, FrameBody("restart", {}))
            self._shown = self._written = ""
        self._put(bodies)
        self._docs = tuple(docs)

    def text(self, piece: str) -> None:
        """Go on with the answer by ``piece``."""
        if len(self._written) + len(piece) > limits.ANSWER_CHARS_MAX:
            raise Overloaded(f"the answer is longer than {limits.ANSWER_CHARS_MAX} characters")
        self._written += piece
        if self._shown.startswith(self._written):
            return
        if self._written.startswith(self._shown):
            self._show(self._written[len(self._shown) :])
        else:
            self._restart()

    def begin_behind(self, prefix: str) -> None:
        """Say that the pieces which follow go on behind ``prefix``, which was shown before."""
        self._written = prefix

    def restart(self) -> None:
        """Void the text so far; the answer begins again."""
        self._written = ""
        if self._shown:
            self._put([FrameBody("restart", {})])
            self._shown = ""

    def finish(self) -> None:
        """Void what an earlier owner showed beyond the end of this answer."""
        if self._shown != self._written:
            self._restart()

    def _restart(self) -> None:
        written = self._written
        self.restart()
        self._written = written
        if written:
            self._show(written)

    def _show(self, new: str) -> None:
        self._put([FrameBody("text", {"content": new, "offset": len(self._shown)})])
        self._shown += new
        if self.first_text_at_s is None:
            self.first_text_at_s = self._clock.monotonic_s()

    def _put(self, bodies: Sequence[FrameBody]) -> None:
        batch = FrameBatch(lease=self._lease, first_seq=self.seq + 1, bodies=tuple(bodies))
        persistently(lambda: self._commit.append(batch), clock=self._clock)
        turn_id, trace_id = self._lease.key.turn_id, self._lease.trace_id
        self._live.publish(
            [
                Frame(body.type, body.fields, turn_id, trace_id, batch.first_seq + place)
                for place, body in enumerate(bodies)
            ]
        )
        self.seq += len(bodies)


def persistently(call: Callable[[], T], *, clock: Clock) -> T:
    """Repeat a safe call while the store is away, for ``PROGRESS_TIMEOUT_S`` at most."""
    deadline_s = clock.monotonic_s() + limits.PROGRESS_TIMEOUT_S
    while True:
        try:
            return call()
        except StoreUnavailable:
            if clock.monotonic_s() >= deadline_s:
                raise
            clock.sleep(_STORE_RETRY_S)
