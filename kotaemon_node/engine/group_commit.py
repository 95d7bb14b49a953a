"""Group commit: the frames of all turns of a pod go to the store in one round trip.

Each turn has an outbox. One task of the pod flushes all outboxes that are due, and begins the next
flush when the store has answered: when the store is idle a frame waits for nothing, under load the
batch grows by itself. A text may be given a window, within which more text joins its frame.

Rule 1: frames are handed on (``shown``) only after they are stored.
Rule 2: a batch whose reply was lost is sent again as it was, before anything behind it.
Rule 3: while the store is away an outbox fills up to a bound; then its writer waits.
Rule 4: a store that was set back and knows our lease gets the frames that it lost once more, under
    their numbers and as they were shown.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import NodeError, SequenceGap, StoreUnavailable
from kotaemon_node.domain.frames import Frame, FrameBody
from kotaemon_node.ports.frame_log import FrameBatch, FrameLog
from kotaemon_node.ports.runtime import Clock, Tasks
from kotaemon_node.ports.sessions import Lease
from kotaemon_node.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)

_STORE_RETRY_S = 0.2

Memory = Callable[[], tuple[Sequence[FrameBody], Sequence[tuple[str, Any]]]]
"""Returns all frames of a turn that were shown, from number 1 on, and its journal so far."""


@dataclass(slots=True)
class _Flight:
    """A batch on its way, and since when."""

    batch: FrameBatch
    since_s: float
    written_s: float
    """When its oldest frame was written."""


class Outbox:
    """The frames of one execution of a turn that are not stored yet. Made by ``GroupCommit``."""

    def __init__(
        self,
        group: "GroupCommit",
        lease: Lease,
        *,
        seq: int,
        shown: Callable[[Sequence[Frame]], None],
        failed: Callable[[NodeError], None],
        memory: Memory,
    ) -> None:
        self._group = group
        self._memory = memory
        self._lease = lease
        self._shown = shown
        self._failed = failed
        self._bodies: list[FrameBody] = []
        self._journal: list[tuple[str, Any]] = []
        self._chars = 0
        self._flight: _Flight | None = None
        self._error: NodeError | None = None
        self._moved = threading.Event()
        self._wanted_s: float | None = None
        self._written_s: float | None = None
        self.seq = seq
        """Number of the newest stored frame."""
        self.due_s = 0.0
        """When the next batch is to be sent; counts while the outbox is among the waiting."""

    def put(
        self,
        bodies: Sequence[FrameBody],
        *,
        journal: Sequence[tuple[str, Any]] = (),
        within_s: float = 0.0,
    ) -> None:
        """Have these stored within ``within_s``, and shown then; returns before.

        Raises what made an earlier frame of this turn fail.
        """
        with self._group.lock:
            self._check()
            for body in bodies:
                self._add(body)
            self._journal.extend(journal)
            self._be_due(within_s)
            full = self._chars > limits.FRAMES_PENDING_CHARS_MAX
        self._group.wake()
        if full:
            self.drain()

    def drain(self) -> None:
        """Return when all that was put is stored; raises what made it fail."""
        while True:
            with self._group.lock:
                self._check()
                if self._bodies or self._journal:
                    self._be_due(0.0)
                elif self._flight is None:
                    return
                self._moved.clear()
            self._group.wake()
            self._moved.wait()

    def confirm(self) -> None:
        """Return when the store was asked and has all frames; raises what it answered else."""
        self.probe()
        while True:
            with self._group.lock:
                self._check()
                if self._flight is None and self._wanted_s is None:
                    return
                self._moved.clear()
            self._group.wake()
            self._moved.wait()

    def probe(self) -> None:
        """Ask the store, by an empty write, whether the turn is still ours; ``failed`` if not."""
        with self._group.lock:
            if self._error is None:
                self._be_due(0.0)
        self._group.wake()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _be_due(self, within_s: float) -> None:
        wanted_s = self._group.now_s() + within_s
        self._wanted_s = wanted_s if self._wanted_s is None else min(self._wanted_s, wanted_s)
        if self._flight is None:
            self._wait(self._wanted_s)

    def _wait(self, due_s: float) -> None:
        self.due_s = due_s
        self._group.waiting.add(self)

    def _add(self, body: FrameBody) -> None:
        before = self._bodies[-1] if self._bodies else None
        if before is None:
            self._written_s = self._group.now_s()
        if body.type == "text":
            self._chars += len(body.fields["content"])
            if before is not None and before.type == "text":
                joined = before.fields["content"] + body.fields["content"]
                fields = {"content": joined, "offset": before.fields["offset"]}
                self._bodies[-1] = FrameBody("text", fields)
                return
        self._bodies.append(body)

    # Called by the group with its lock held.

    def take(self, now_s: float) -> FrameBatch:
        """Return the batch to be sent now."""
        if self._flight is None:
            bodies, self._bodies = tuple(self._bodies), []
            journal, self._journal = tuple(self._journal), []
            written_s = now_s if self._written_s is None else self._written_s
            self._chars, self._wanted_s, self._written_s = 0, None, None
            batch = FrameBatch(self._lease, self.seq + 1, bodies, journal)
            self._flight = _Flight(batch, now_s, written_s)
        return self._flight.batch

    def repeat_later(self, error: NodeError, now_s: float) -> bool:
        """Send the batch again a little later; False when that was done for long enough."""
        assert self._flight is not None
        if now_s - self._flight.since_s >= limits.PROGRESS_TIMEOUT_S:
            self.fail(error)
            return False
        self._wait(now_s + _STORE_RETRY_S)
        return True

    def repeat_all(self) -> bool:
        """Send the batch again behind all frames before it; False where they are not remembered."""
        assert self._flight is not None
        batch = self._flight.batch
        bodies, journal = self._memory()
        if batch.first_seq == 1 or len(bodies) != self.seq:
            return False
        self._flight.batch = FrameBatch(
            self._lease, 1, (*bodies, *batch.bodies), (*journal, *batch.journal)
        )
        _log.warning("frames_stored_again", turn_id=self._lease.key.turn_id, frames=self.seq)
        self._wait(self._group.now_s())
        return True

    def fail(self, error: NodeError) -> None:
        """Give up: everything that is put from now on raises ``error``."""
        self._error = error
        self._flight = None
        self._bodies.clear()
        self._journal.clear()
        self._group.waiting.discard(self)
        self._moved.set()

    def stored(self) -> list[Frame]:
        """Note that the batch is stored and return its frames."""
        assert self._flight is not None
        batch = self._flight.batch
        turn_id, trace_id = self._lease.key.turn_id, self._lease.trace_id
        fresh = batch.bodies[self.seq + 1 - batch.first_seq :]  # those before were shown already
        frames = [
            Frame(body.type, body.fields, turn_id, trace_id, seq)
            for seq, body in enumerate(fresh, start=self.seq + 1)
        ]
        self.seq += len(frames)
        if frames:
            self._group.metrics.frames_stored(
                len(frames), self._group.now_s() - self._flight.written_s
            )
        return frames

    def landed(self) -> None:
        """Go on with what came meanwhile; the stored frames are shown, so a writer may go on."""
        self._flight = None
        if self._wanted_s is not None:
            self._wait(self._wanted_s)
        self._moved.set()

    # Called by the group without its lock.

    def show(self, frames: Sequence[Frame]) -> None:
        """Hand stored frames on."""
        self._shown(frames)

    def tell_failure(self, error: NodeError) -> None:
        """Let whoever executes the turn know, wherever it waits."""
        self._failed(error)


class GroupCommit:
    """Flushes the outboxes of a pod, in a task that runs while there is something to flush."""

    def __init__(self, log: FrameLog, *, clock: Clock, tasks: Tasks, metrics: Metrics) -> None:
        self._log = log
        self.metrics = metrics
        self._clock = clock
        self._tasks = tasks
        self._woken = threading.Event()
        self._flushing = False
        self.lock = threading.Lock()
        """Guards all outboxes."""
        self.waiting: set[Outbox] = set()
        """Those with something to send that is not on its way."""

    def open(
        self,
        lease: Lease,
        *,
        seq: int,
        shown: Callable[[Sequence[Frame]], None],
        failed: Callable[[NodeError], None],
        memory: Memory = lambda: ((), ()),
    ) -> Outbox:
        """Return the outbox of an execution whose newest stored frame is number ``seq``.

        ``shown`` gets frames as they are stored; ``failed`` is called when nothing more will be.
        """
        return Outbox(self, lease, seq=seq, shown=shown, failed=failed, memory=memory)

    def now_s(self) -> float:
        """The clock by which frames are due."""
        return self._clock.monotonic_s()

    def wake(self) -> None:
        """Have the flushing task look again."""
        with self.lock:
            start = not self._flushing and bool(self.waiting)
            self._flushing = self._flushing or start
            self._woken.set()
        if start:
            self._tasks.spawn("frame-flush", self._flush_all)

    def _flush_all(self) -> None:
        while True:
            with self.lock:
                now_s = self.now_s()
                due = [outbox for outbox in self.waiting if outbox.due_s <= now_s]
                if not self.waiting:
                    self._flushing = False
                    return
                self.waiting.difference_update(due)
                batches = [outbox.take(now_s) for outbox in due]
                rest_s = min(outbox.due_s - now_s for outbox in self.waiting or due)
                self._woken.clear()
            if due:
                self._flush(due, batches)
            else:
                self._clock.wait(self._woken, rest_s)

    def _flush(self, outboxes: Sequence[Outbox], batches: Sequence[FrameBatch]) -> None:
        errors: Sequence[Exception | None]
        try:
            errors = self._log.append(batches)
        except NodeError as error:
            errors = [error] * len(batches)
        except Exception as error:  # noqa: BLE001 - a flusher that ends silently strands every turn
            _log.exception("flush_broken")
            failure = NodeError(f"frames could not be stored: {type(error).__name__}")
            errors = [failure] * len(batches)
        for outbox, outcome in zip(outboxes, errors, strict=True):
            try:
                self._conclude(outbox, outcome)
            except Exception:  # noqa: BLE001 - as above; the turn of this outbox alone is lost
                _log.exception("flush_not_concluded")
                with self.lock:
                    outbox.fail(NodeError("frames could not be shown"))

    def _conclude(self, outbox: Outbox, error: Exception | None) -> None:
        now_s = self.now_s()
        if error is None:
            with self.lock:
                frames = outbox.stored()
            outbox.show(frames)
            with self.lock:
                outbox.landed()
            return
        failure = error if isinstance(error, NodeError) else NodeError(str(error))
        with self.lock:
            if (isinstance(failure, StoreUnavailable) and outbox.repeat_later(failure, now_s)) or (
                isinstance(failure, SequenceGap) and outbox.repeat_all()
            ):
                self.metrics.frames_repeated()
                return
            outbox.fail(failure)
        outbox.tell_failure(failure)
