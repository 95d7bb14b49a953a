"""Carrying out delayed jobs: every pod takes what is due, as much as it has room for.

Law 1: a job ends in three ways: done, given back to be begun again, or as a dead letter. One whose
    pod died is none of these; its lease ends, and another pod begins it once more.
Law 2: what fails is tried again after a time that doubles, and is never quite the same, so that
    what failed together does not come back together; after its last attempt it is a dead letter.
Law 3: a pod that leaves begins nothing more, ends what it has, and keeps its leases until then.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import structlog

from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.errors import Draining, NodeError, StoreUnavailable
from kotaemon_node.engine.writing import persistently
from kotaemon_node.ports.later import (
    Again,
    Hopeless,
    Later,
    LaterCount,
    LaterJob,
    LaterSource,
    Leased,
)
from kotaemon_node.ports.runtime import Clock, IdSource, Tasks

_log = structlog.get_logger(__name__)

Handler = Callable[[LaterJob], None]
"""Does the job. Raises ``Again``, ``Hopeless``, or anything else, which is a failed attempt."""

Outcome = Literal["done", "again", "failed", "dead", "lost"]

COUNTED_EVERY_S: Final = 10.0
_STORE_AWAY_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Noting:
    """What is told of it; every call returns at once."""

    ended: Callable[[str, Outcome], None] = lambda kind, outcome: None
    """A job of this kind ended so."""
    counted: Callable[[Mapping[str, LaterCount]], None] = lambda counts: None
    """So many there are of each kind."""


@dataclass(frozen=True, slots=True)
class Waking:
    """``ports.later.Later`` that has this pod look at once where a job is due."""

    later: Later
    wake: Callable[[], None]

    def put(self, job: LaterJob) -> bool:
        """See the port."""
        new = self.later.put(job)
        if new and job.due_in_s <= 0:
            self.wake()
        return new


@dataclass(slots=True)
class _Held:
    leased: Leased
    renewed_s: float
    until_s: float
    """After this its lease is not renewed any more."""


class LaterWorker:
    """One pod's share in the work. Thread safe."""

    def __init__(
        self,
        source: LaterSource,
        *,
        handlers: Mapping[str, Handler],
        clock: Clock,
        ids: IdSource,
        tasks: Tasks,
        draining: Callable[[], bool],
        jitter: Callable[[], float],
        noting: Noting | None = None,
        pods: Callable[[], int] = lambda: 1,
    ) -> None:
        """``jitter`` returns a number from 0 up to 1, another one each time.

        ``pods``: how many look for jobs. Where they are more than ``LATER_LOOKERS``, each looks the
        more rarely, so that all together do as often.
        """
        self._source = source
        self._handlers = dict(handlers)
        self._clock = clock
        self._ids = ids
        self._tasks = tasks
        self._draining = draining
        self._jitter = jitter
        self._noting = noting or Noting()
        self._pods = pods
        self._held: dict[tuple[str, str], _Held] = {}
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._counted_s = float("-inf")

    @property
    def running(self) -> int:
        """How many jobs this pod carries out now."""
        return len(self._held)

    def add(self, kind: str, handler: Handler) -> None:
        """Have jobs of another kind carried out, too; before ``run``."""
        self._handlers[kind] = handler

    def wake(self) -> None:
        """Look for jobs at once: this pod has put one that is due."""
        self._woken.set()

    def run(self) -> None:
        """Carry jobs out until this pod leaves and has ended its own."""
        while not self._draining() or self._held:
            try:
                began = self.step()
                pause_s = 0.0 if began else self.period_s * (0.5 + self._jitter())
            except StoreUnavailable as error:
                _log.info("later_store_away", error=str(error))
                pause_s = _STORE_AWAY_S
            except Exception:  # noqa: BLE001 - a pod that looks no more leaves its jobs to others
                _log.exception("later_broken")
                pause_s = _STORE_AWAY_S
            if pause_s:
                self._clock.wait(self._woken, pause_s)
            self._woken.clear()

    @property
    def period_s(self) -> float:
        """Between two looks, which renew leases, too: so short that none can end meanwhile."""
        crowded = max(1.0, self._pods() / limits.LATER_LOOKERS)
        return min(limits.LATER_POLL_S * crowded, limits.LATER_LEASE_S / 6)

    def step(self) -> int:
        """Renew leases and begin what is due, beside the caller; return how many it began."""
        self._renew()
        if self._draining():
            return 0
        if self._clock.monotonic_s() - self._counted_s >= COUNTED_EVERY_S:
            self._counted_s = self._clock.monotonic_s()
            self._noting.counted(self._source.counts(sorted(self._handlers)))
        free = self._free()
        if not any(free.values()):
            return 0
        found = self._source.take(free, holder=self._ids.new_id(), lease_s=limits.LATER_LEASE_S)
        for leased in found:
            self._begin(leased)
        return len(found)

    def _free(self) -> Mapping[str, int]:
        with self._lock:
            busy = [held.leased.job.kind for held in self._held.values()]
        return {kind: limits.LATER_RUNNING_MAX - busy.count(kind) for kind in self._handlers}

    def _begin(self, leased: Leased) -> None:
        name = (leased.job.name, leased.holder)
        now_s = self._clock.monotonic_s()
        with self._lock:
            self._held[name] = _Held(leased, now_s, now_s + limits.LATER_RUN_S_MAX)

        def run() -> None:
            try:
                self._carry_out(leased)
            finally:
                with self._lock:
                    self._held.pop(name, None)
                self._woken.set()  # there is room for another one

        self._tasks.spawn(f"later {leased.job.kind}", run)

    def _renew(self) -> None:
        """Keep what is carried out here from being begun elsewhere."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            held = list(self._held.values())
        for one in held:
            if now_s - one.renewed_s >= limits.LATER_LEASE_S / 3 and now_s < one.until_s:
                one.renewed_s = now_s
                self._source.renew(one.leased, lease_s=limits.LATER_LEASE_S)

    def _carry_out(self, leased: Leased) -> None:
        job = leased.job
        try:
            outcome = persistently(self._ending(leased), clock=self._clock)
        except StoreUnavailable as error:
            # Its lease ends, and it is begun once more: what it did has a key.
            _log.warning("later_not_noted", job=job.name, kind=job.kind, error=str(error))
            outcome = "lost"
        self._noting.ended(job.kind, outcome)

    def _ending(self, leased: Leased) -> Callable[[], Outcome]:
        """Do the job, and return what notes how it ended."""
        job, source = leased.job, self._source
        if job.attempt > job.attempts_max:
            why = leased.error or "the pods that began it were lost"
            return lambda: _of(source.bury(leased, error=why), "dead")
        if leased.age_s > limits.LATER_AGE_MAX_S:
            return lambda: _of(source.bury(leased, error="it waited for too long"), "dead")
        try:
            self._handlers[job.kind](job)
        except Again as again:
            delay_s, why = again.delay_s, str(again)
            return lambda: _of(
                source.again(leased, delay_s=delay_s, error=why, counts=False), "again"
            )
        except Hopeless as error:
            why = str(error)
            return lambda: _of(source.bury(leased, error=why), "dead")
        except Exception as error:  # noqa: BLE001 - whatever fails is tried again, then shown
            return self._failed(leased, error)

        def done() -> Outcome:
            source.done(leased)
            return "done"

        return done

    def _failed(self, leased: Leased, error: Exception) -> Callable[[], Outcome]:
        job, source, why = leased.job, self._source, _reason(error)
        # What this pod or the store lacks says nothing about the job.
        counts = not isinstance(error, (StoreUnavailable, Draining))
        _log.warning(
            "later_job_failed", job=job.name, kind=job.kind, attempt=job.attempt, error=repr(error)
        )
        if counts and job.attempt >= job.attempts_max:
            return lambda: _of(source.bury(leased, error=why), "dead")
        delay_s = backoff_s(job.attempt, jitter=self._jitter())
        return lambda: _of(
            source.again(leased, delay_s=delay_s, error=why, counts=counts), "failed"
        )


def backoff_s(attempt: int, *, jitter: float) -> float:
    """Return the time until the next attempt, from half to one and a half of what doubles."""
    whole = limits.LATER_BACKOFF_S * 2.0 ** min(attempt - 1, 30)
    return min(limits.LATER_BACKOFF_S_MAX, whole) * (0.5 + jitter)


def _of(mine: bool, outcome: Outcome) -> Outcome:
    return outcome if mine else "lost"


def _reason(error: Exception) -> str:
    """Return what people are shown: other texts than ours may hold anything."""
    return str(error) if isinstance(error, NodeError) else type(error).__name__
