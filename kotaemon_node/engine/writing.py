"""Writing a turn's frames: the next number, the text so far, and what an earlier owner left."""

import math
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeVar

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import DeadlineExceeded, NodeError, Overloaded, StoreUnavailable
from kotaemon_node.domain.frames import Frame, FrameBody
from kotaemon_node.engine.group_commit import GroupCommit
from kotaemon_node.engine.live import LiveTurn
from kotaemon_node.engine.stopping import Stop
from kotaemon_node.engine.windows import TextWindows
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.sessions import Work
from kotaemon_node.ports.traces import current

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


def open_calls(frames: Sequence[Frame]) -> dict[str, Mapping[str, Any]]:
    """Return the calls of tools that were begun and not ended: step to fields."""
    found: dict[str, Mapping[str, Any]] = {}
    for frame in frames:
        if frame.type == "tool_call":
            _note_call(found, frame.fields)
    return found


def _note_call(open_by_step: dict[str, Mapping[str, Any]], fields: Mapping[str, Any]) -> None:
    if fields["state"] == "started":
        open_by_step[fields["step"]] = fields
    else:
        open_by_step.pop(fields["step"], None)


class FrameWriter:
    """Writes the frames of one turn, going on behind those of an earlier owner.

    The text of an earlier owner is the beginning of the answer. ``text`` is given the whole answer
    from its beginning and shows only what is new; where it does not begin with what was shown, a
    ``restart`` frame voids that and the answer is shown anew.

    Every method that writes returns before the frame is stored; what stops the turn is raised by
    the next one. ``drain`` returns when all is stored.
    """

    def __init__(
        self,
        work: Work,
        *,
        commit: GroupCommit,
        live: LiveTurn,
        clock: Clock,
    ) -> None:
        stored = work.stored
        stop = live.stop
        self.stop: Stop = stop
        """Stops this execution; what waits for something outside is to be broken off by it."""
        self._live = live
        self._clock = clock
        self._visible = assembled_text(stored)
        self._over_at_s = clock.monotonic_s() + limits.TURN_TIMEOUT_S - work.age_s
        self._shown = assembled_text(stored)
        self._docs = stored_docs(stored)
        self._open_calls = open_calls(stored)
        self._written = ""
        self._windows = TextWindows()
        self._noted_at_s = -math.inf
        self._journal = dict(work.journal)
        self._decided: list[tuple[str, Any]] = []
        self._span = current()  # frames are stored by another task
        self.first_text_at_s: float | None = None
        """When the first text of this owner was stored, by ``clock.monotonic_s``."""
        self.notes: dict[str, Any] = {}
        """What the steps note for the audit record, also of a turn that fails: step to JSON."""
        self.unkept: Mapping[str, Any] = {}
        """What this owner had the language model read and write that stands in no journal."""
        self._outbox = commit.open(
            work.lease,
            seq=stored[-1].seq or 0 if stored else 0,
            shown=self._show_stored,
            failed=self._lose,
            memory=self._remembered,
        )
        live.on_doubt(self._outbox.probe)

    @property
    def seq(self) -> int:
        """Number of the newest stored frame."""
        return self._outbox.seq

    @property
    def answer(self) -> str:
        """The answer as far as it is stored, by this owner and those before it."""
        return self._visible

    @property
    def docs(self) -> tuple[Mapping[str, Any], ...]:
        """The documents of the ``source`` frame that stands."""
        return self._docs

    @property
    def prefix(self) -> str:
        """What an earlier owner showed behind that which this one has written by now."""
        shown, written = self._shown, self._written
        return shown[len(written) :] if shown.startswith(written) else ""

    @property
    def journal(self) -> Mapping[str, Any]:
        """What this turn decided so far, by step."""
        return self._journal

    def decided(self, step: str) -> Any | None:
        """Return the journalled result of a step that this turn took before, else None."""
        return self._journal.get(step)

    def steps(self, prefix: str) -> list[tuple[str, Any]]:
        """Return (rest of the name, result) of the journalled steps that begin with ``prefix``."""
        found = [
            (step, result) for step, result in self._journal.items() if step.startswith(prefix)
        ]
        return sorted(
            [(step.removeprefix(prefix), result) for step, result in found], key=itemgetter(0)
        )

    @property
    def age_s(self) -> float:
        """Time since the turn was first executed, as the store measured it and this pod goes on."""
        return limits.TURN_TIMEOUT_S - (self._over_at_s - self._clock.monotonic_s())

    def decide(self, step: str, result: Any) -> None:
        """Journal the result of a step (JSON, never None); it is stored with the next frames.

        Frames written later are never stored without it. Where the world outside must not see the
        next step before it is durable, ``drain`` comes between.
        """
        self._journal[step] = result
        self._decided.append((step, result))

    def drain(self) -> None:
        """Return when everything written so far is stored."""
        self.stop.check()
        if self._decided:
            journal, self._decided = self._decided, []
            self._outbox.put([], journal=journal)
        self._outbox.drain()

    def confirm(self) -> None:
        """Return when the store has all frames; those that it lost are stored again."""
        self._outbox.confirm()

    def note_progress(self) -> None:
        """Say that the turn goes on though nothing is to be shown; others take one that hangs."""
        now_s = self._clock.monotonic_s()
        if now_s - self._noted_at_s >= limits.PROGRESS_NOTED_S:
            self._noted_at_s = now_s
            self._outbox.probe()

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

    def tool_call(self, fields: Mapping[str, Any]) -> None:
        """Show how a call of a tool stands: ``name, args, state, step, result?``."""
        self._put([FrameBody("tool_call", fields)])
        _note_call(self._open_calls, fields)

    def give_up_calls(self) -> None:
        """Say of calls that nobody will wait for any more that their outcome is unknown."""
        calls, self._open_calls = self._open_calls, {}
        # Not by ``_put``: a turn that is out of time says so too.
        for fields in calls.values():
            self._outbox.put([FrameBody("tool_call", {**fields, "state": "unknown"})])

    def handoff(self, fields: Mapping[str, Any]) -> None:
        """Show that a person has the session, or has it no more."""
        self._put([FrameBody("handoff", fields)])

    def said(self, text: str, by: Mapping[str, Any]) -> None:
        """Show what a person said, whole; nothing where an earlier owner did."""
        self._written = text
        if self._shown != text:
            self._shown = text
            self._put([FrameBody("text", {"content": text, "offset": 0, **by})])

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
        self._written += prefix

    def rewind(self) -> None:
        """Begin the answer again behind nothing; what was shown stays as its beginning.

        As after a takeover: text that goes on with it is shown, other text voids it.
        """
        self._written = ""

    def restart(self) -> None:
        """Void the text so far; the answer begins again."""
        self._written = ""
        if self._shown:
            self._put([FrameBody("restart", {})])
            self._shown = ""

    def finish(self) -> None:
        """Void what an earlier owner showed beyond what this one has written."""
        if self._shown != self._written:
            self._restart()

    def _restart(self) -> None:
        written = self._written
        self.restart()
        self._written = written
        if written:
            self._show(written)

    def _show(self, new: str) -> None:
        offset = len(self._shown)
        self._shown += new
        within_s = self._windows.rest_s(self._clock.monotonic_s())
        self._put([FrameBody("text", {"content": new, "offset": offset})], within_s=within_s)

    def _put(self, bodies: Sequence[FrameBody], *, within_s: float = 0.0) -> None:
        self.stop.check()
        if self._clock.monotonic_s() > self._over_at_s:
            raise DeadlineExceeded(f"the turn took longer than {limits.TURN_TIMEOUT_S:g} s")
        journal, self._decided = self._decided, []
        self._outbox.put(bodies, journal=journal, within_s=within_s)

    def _lose(self, error: NodeError) -> None:
        self.stop.request(error)
        # Followers need not wait until the executor has noticed: the store knows more than we do.
        self._live.close()

    def _remembered(self) -> tuple[Sequence[FrameBody], Sequence[tuple[str, Any]]]:
        bodies = [FrameBody(frame.type, frame.fields) for frame in self._live.shown()]
        return bodies, list(self._journal.items())

    def _show_stored(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            if frame.type == "restart":
                self._visible = ""
            elif frame.type == "text":
                self._visible += frame.fields["content"]
                if self.first_text_at_s is None:
                    self._note_first_text()
        self._live.publish(frames)

    def _note_first_text(self) -> None:
        self.first_text_at_s = self._clock.monotonic_s()
        if self._windows.since_s is not None:
            self._span.past("group_commit", self.first_text_at_s - self._windows.since_s)
        self._span.event("first_text")


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
