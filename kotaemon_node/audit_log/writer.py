"""A process's hand in the audit log: what it records waits here, and is appended by groups.

Law 1: ``record`` waits for nothing. What does not fit any more is counted, and the count becomes an
       entry, ``audit.lost``, as soon as one can be written. It is lost from the log of which most
       waits: one that takes nothing more costs the others none of their entries.
Law 2: a batch is appended once: until the store has told what became of it, it is sent as it was,
       and the store knows its own lines again.
Law 3: a log that is less than this process has seen of it is said aloud, in the log itself
       (``audit.set_back``): what was cut off leaves a scar.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from kotaemon_node.audit_log.alike import Alike
from kotaemon_node.audit_log.shown_lines import show
from kotaemon_node.audit_log.tail import Noted, Tail
from kotaemon_node.domain import audit_limits as limits
from kotaemon_node.domain.audit import AuditEvent
from kotaemon_node.domain.audit_chain import AuditKey
from kotaemon_node.domain.errors import StoreUnavailable
from kotaemon_node.ports.audit import AuditStore
from kotaemon_node.ports.runtime import Clock, IdSource

_log = structlog.get_logger(__name__)


class AuditCounts(Protocol):
    """Told what becomes of entries; never raises."""

    def audit_kept(self, entries: int) -> None:
        """So many are in the log."""
        ...

    def audit_lost(self, entries: int) -> None:
        """So many were given up."""
        ...

    def audit_waiting(self, entries: int) -> None:
        """So many wait to be written."""
        ...

    def audit_set_back(self) -> None:
        """A log was less than this process had seen of it."""
        ...


class NoCounts:
    """For programs that nobody scrapes."""

    def audit_kept(self, entries: int) -> None:
        """See the protocol."""

    def audit_lost(self, entries: int) -> None:
        """See the protocol."""

    def audit_waiting(self, entries: int) -> None:
        """See the protocol."""

    def audit_set_back(self) -> None:
        """See the protocol."""


@dataclass(slots=True)
class _Log:
    """What waits for one tenant's log."""

    tail: Tail
    waiting: deque[Noted] = field(default_factory=deque)
    lost: int = 0
    sent: int = 0
    """So many of the first that wait may be in the store already, or are on their way: these are
    not given up."""
    failures: int = 0
    due_s: float = 0.0
    """It is not tried again before."""


class AuditWriter:
    """``ports.audit.AuditLog``. One a process; thread safe."""

    def __init__(
        self,
        store: AuditStore,
        *,
        keys: Callable[[], Sequence[AuditKey]],
        clock: Clock,
        ids: IdSource,
        counts: AuditCounts | None = None,
        waiting_max: int = limits.AUDIT_WAITING_MAX,
        lines: bool = True,
        first: Callable[[], Sequence[AuditEvent]] | None = None,
    ) -> None:
        """``keys``: newest first, the first one makes new entries; none makes them without.

        ``first``: what there is to say once the store answers; may raise ``StoreUnavailable``.

        ``lines`` False: entries are no lines of the process's log, which nobody keeps.
        """
        self._lines = lines
        self._first = first
        self._store = store
        self._keys = keys
        self._clock = clock
        self._ids = ids
        self._counts = counts or NoCounts()
        self._waiting_max = waiting_max
        self._lock = threading.Lock()
        """For what waits; held for moments only."""
        self._writing = threading.Lock()
        """For the tails: one task writes at a time."""
        self._logs: dict[str, _Log] = {}
        self._waiting = 0
        self._failures = 0
        """Times in a row that the store could not be asked."""
        self._alike = Alike()
        self._wake = threading.Event()
        self._stopped = threading.Event()

    def record(self, event: AuditEvent) -> None:
        """See the port."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            told = self._alike.told(event.clipped(), now_s=now_s)
            if told is not None:
                self._put(told, now_s)
        if told is not None and self._lines:
            show(told)

    def run(self) -> None:
        """Write what was recorded, until ``stop``; then what is left, for a short time."""
        while not self._stopped.is_set():
            self._clock.wait(self._wake, 1.0)
            self._wake.clear()
            self._clock.wait(self._stopped, _pause_s(self._failures))
            self.flush(patient=True)
        self.finish()

    def stop(self) -> None:
        """Make ``run`` end."""
        self._stopped.set()
        self._wake.set()

    def finish(self) -> bool:
        """Write all that waits, also what is still being counted; True when nothing is left."""
        deadline_s = self._clock.monotonic_s() + limits.AUDIT_LAST_WRITE_S
        with self._lock:
            summed = self._alike.all()
        self._tell(summed)
        while not self.flush():
            if self._clock.monotonic_s() >= deadline_s:
                _log.error("audit_given_up", entries=self._waiting)
                self._counts.audit_lost(self._waiting)
                return False
            self._clock.sleep(limits.AUDIT_RETRY_S / 5)
        return True

    def flush(self, *, patient: bool = False) -> bool:
        """Write what waits now; False where the store did not take all of it. Raises nothing.

        ``patient``: a log that took nothing lately is left alone for a time.
        """
        now_s = self._clock.monotonic_s()
        with self._lock:
            summed = self._alike.due(now_s=now_s)
        self._tell([*summed, *self._begun()])
        with self._lock:
            logs = list(self._logs.values())
        whole, away = True, False
        with self._writing:
            for log in logs:
                if patient and log.due_s > now_s:
                    whole = False
                    continue
                try:
                    kept = self._flush_log(log)
                except StoreUnavailable as error:
                    whole, away = False, True
                    _log.warning("audit_waits", entries=self._waiting, reason=str(error))
                    break  # one store has them all
                except Exception:  # noqa: BLE001 - a log that is broken must not stop the others
                    kept = False
                    _log.exception("audit_broken", tenant=log.tail.tenant)
                log.failures = 0 if kept else log.failures + 1
                log.due_s = 0.0 if kept else now_s + _pause_s(log.failures)
                whole = kept and whole
        self._failures = self._failures + 1 if away else 0
        self._counts.audit_waiting(self._waiting)
        return whole

    def _begun(self) -> Sequence[AuditEvent]:
        """Return what is said first; nothing where it was said, or where the store is away."""
        first, self._first = self._first, None
        try:
            return first() if first else ()
        except StoreUnavailable:
            self._first = first
            return ()

    def _tell(self, events: Sequence[AuditEvent]) -> None:
        with self._lock:
            for event in events:
                self._put(event, self._clock.monotonic_s())
        for event in events if self._lines else ():
            show(event)

    def _put(self, event: AuditEvent, now_s: float) -> None:
        """Have the event wait; counts it as lost where too many do. The caller holds the lock."""
        log = self._logs.get(event.tenant)
        if log is None:
            log = self._logs[event.tenant] = _Log(
                Tail(
                    event.tenant,
                    self._store,
                    lines=self._lines,
                    set_back=self._counts.audit_set_back,
                )
            )
        if self._waiting < self._waiting_max or self._given_up_for(log):
            log.waiting.append(Noted(event, self._ids.new_id(), now_s))
            self._waiting += 1
        else:
            log.lost += 1
            self._counts.audit_lost(1)
        self._wake.set()

    def _given_up_for(self, log: _Log) -> bool:
        """Give up the newest of the log of which most waits; False where that is no other log."""
        longest = max(self._logs.values(), key=lambda one: len(one.waiting))
        if len(longest.waiting) <= max(len(log.waiting) + 1, longest.sent):
            return False
        longest.waiting.pop()
        longest.lost += 1
        self._waiting -= 1
        self._counts.audit_lost(1)
        return True

    def _flush_log(self, log: _Log) -> bool:
        """Write one log's; False where others were too quick, or it is full."""
        while batch := self._batch(log):
            key = next(iter(self._keys()), None)
            kept = log.tail.write(batch, key=key, now_s=self._clock.monotonic_s)
            if not kept:
                with self._lock:
                    log.sent = 0  # the store has said that it has none of it
                return False
            with self._lock:
                for _ in range(kept):
                    log.waiting.popleft()
                self._waiting -= kept
                log.sent -= kept
            self._counts.audit_kept(kept)
        return True

    def _batch(self, log: _Log) -> Sequence[Noted]:
        """Return what is written next; what was lost is told behind what waited before it."""
        with self._lock:
            if log.lost and (self._waiting < self._waiting_max or self._given_up_for(log)):
                event = lost_event(log.tail.tenant, log.lost)
                log.waiting.append(Noted(event, self._ids.new_id(), self._clock.monotonic_s()))
                self._waiting += 1
                log.lost = 0
            count = min(len(log.waiting), limits.AUDIT_BATCH_MAX)
            log.sent = max(log.sent, count)
            return [log.waiting[at] for at in range(count)]


def lost_event(tenant: str, count: int) -> AuditEvent:
    """Return what says that entries were given up."""
    return AuditEvent("audit.lost", "failed", tenant, role="system", detail={"count": count})


def _pause_s(failures: int) -> float:
    """Return how long to wait: for a group, or until the store may be back."""
    if not failures:
        return limits.AUDIT_GROUP_S
    return min(limits.AUDIT_RETRY_S_MAX, limits.AUDIT_RETRY_S * 2.0 ** min(failures - 1, 10))
