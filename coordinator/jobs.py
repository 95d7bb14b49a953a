"""The leader's side of the orders: one after the other, each acknowledged after its effect."""

from collections.abc import Callable, Collection
from typing import Final

import structlog

from coordinator.leader import LeadLost, Stopping
from coordinator.metrics import CoordinatorMetrics
from coordinator.orders import NotYet, OrderRefused, Orders, Scene
from coordinator.publish import NumberTaken
from coordinator.uploads import Standing, Uploads
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import MasterKeyMissing, StoreUnavailable, Unavailable
from kotaemon_node.domain.knowledge import Manifest
from kotaemon_node.ports.jobs import UPLOAD, Job, JobSource
from kotaemon_node.ports.runtime import Clock

_log = structlog.get_logger(__name__)

_PATIENCE_S: Final = 600.0  # for a store that is away, before the job counts as begun in vain
_WAIT_S: Final = 1.0
_POISON: Final = "it was begun {attempts} times without an end; the log of the coordinator has more"


class Jobs:
    """Takes orders from the queue while this coordinator leads. Used by one thread."""

    def __init__(
        self,
        source: JobSource,
        orders: Orders,
        uploads: Uploads,
        *,
        metrics: CoordinatorMetrics,
        clock: Clock,
        tenant: str,
    ) -> None:
        self._source = source
        self._orders = orders
        self._uploads = uploads
        self._metrics = metrics
        self._clock = clock
        self._tenant = tenant
        self._current: Job | None = None
        """Begun by this process, and put off because something that it needs is away."""
        self._put_off_s = 0.0
        self._waiting: dict[str, Job] = {}
        """Uploads that stand in the folder and wait for the generation that holds them."""
        self._placed: set[str] = set()
        """Those of them that no scan has seen."""

    def begin(self) -> None:
        """Forget what an earlier lead had begun: others may have ended it."""
        self._current = None
        self._waiting = {}
        self._placed = set()

    @property
    def placed(self) -> bool:
        """True when files were put into the folder that no scan has seen."""
        return bool(self._placed)

    def carry_out(
        self, scene: Callable[[str], Scene], done: Callable[[str, Manifest], None]
    ) -> None:
        """Do all that waits. ``done`` is told knowledge base and generation of each effect.

        What takes longer than now (a rebuild, a store that is away) is tried in the next call.
        Raises ``LeadLost``, ``NumberTaken`` and ``Stopping``; the job is begun again.
        """
        self._placed = set()  # the scene's scan is of after they were put there
        while len(self._placed) < limits.UPLOADS_PLACED_MAX and (job := self._next()) is not None:
            if job.order.kind == UPLOAD:
                scene(job.order.kb).leading.still()
                ended = self._receive(job)
            else:
                ended = self._do(job, scene, done)
            if not ended:
                return
            self._current = None

    def settle(self, standing: Callable[[str], Standing]) -> None:
        """End the uploads that the folder's last scan, and what was made of it, decide."""
        for job in list(self._waiting.values()):
            if job.order.id in self._placed:
                continue
            try:
                result = self._uploads.result(job.order, standing(job.order.kb))
                if result is None:
                    continue
                self._source.finish(job, result)
                _log.info("job_done", job=job.order.id, kind=UPLOAD, **result)
                self._metrics.job_ended(UPLOAD, failed=False)
            except OrderRefused as refusal:
                if not self._fail(job, str(refusal)):
                    return
            except Unavailable as error:
                _log.warning("jobs_unavailable", error=str(error))
                return
            del self._waiting[job.order.id]

    def sweep(self) -> None:
        """Remove uploads that no job needs."""
        self._uploads.sweep(self._source)

    def _receive(self, job: Job) -> bool:
        """Put an upload into the folder; return as ``_do``. It does not count as an attempt.

        A copy is no work that could break us, and many uploads are begun by each leader.
        """
        try:
            self._uploads.receive(job.order)
        except OrderRefused as refusal:
            ended = self._fail(job, str(refusal))
            if ended:
                self._uploads.drop(job.order)
            return ended
        except (Unavailable, OSError) as error:
            return self._put_off(job, str(error))
        self._waiting[job.order.id] = job
        self._placed.add(job.order.id)
        return True

    def _next(self) -> Job | None:
        if self._current is not None:
            return self._current
        try:
            job = self._source.begin(self._tenant, beside=self._waiting.keys())
        except (Unavailable, MasterKeyMissing) as error:
            # Knowledge goes on being published without it; orders wait.
            _log.warning("jobs_unavailable", error=str(error))
            return None
        self._current = job
        self._put_off_s = self._clock.monotonic_s() + _PATIENCE_S
        return job

    def _do(
        self, job: Job, scene: Callable[[str], Scene], done: Callable[[str, Manifest], None]
    ) -> bool:
        """Return True when the job has ended, False to look at it again later."""
        order = job.order
        if job.attempts > limits.JOB_ATTEMPTS_MAX:
            reason = _POISON.format(attempts=job.attempts - 1)
            return self._fail(job, reason, dead=True)
        try:
            manifest = self._orders.carry_out(order, scene(order.kb))
            done(order.kb, manifest)
            self._source.finish(job, {"generation": manifest.generation})
        except OrderRefused as refusal:
            return self._fail(job, str(refusal))
        except NotYet:
            return False
        except (LeadLost, NumberTaken, Stopping):
            self._current = None
            raise
        except (Unavailable, OSError) as error:
            return self._put_off(job, str(error))
        except Exception:  # noqa: BLE001 - an order that breaks us must not stop the knowledge
            _log.exception("job_broke", job=order.id, kind=order.kind, attempt=job.attempts)
            self._current = None
            return False
        _log.info("job_done", job=order.id, kind=order.kind, generation=manifest.generation)
        self._metrics.job_ended(order.kind, failed=False)
        return True

    def _put_off(self, job: Job, reason: str) -> bool:
        _log.warning("job_put_off", job=job.order.id, kind=job.order.kind, reason=reason)
        if self._clock.monotonic_s() >= self._put_off_s:
            self._current = None
        return False

    def _fail(self, job: Job, reason: str, *, dead: bool = False) -> bool:
        try:
            self._source.fail(job, reason, dead=dead)
        except Unavailable as error:
            return self._put_off(job, str(error))
        _log.warning("job_failed", job=job.order.id, kind=job.order.kind, reason=reason, dead=dead)
        self._metrics.job_ended(job.order.kind, failed=True)
        return True


class JobWatch:
    """Calls ``wake`` with whose order came. A hint: the periodic step looks in any case."""

    def __init__(
        self,
        source: JobSource,
        *,
        known: Callable[[], Collection[str]],
        wake: Callable[[str], None],
        clock: Clock,
    ) -> None:
        """``known`` are the tenants that are led; those who order for the first time are met."""
        self._source = source
        self._known = known
        self._wake = wake
        self._clock = clock
        self._stopped = False

    def run(self) -> None:
        """Watch until ``stop``, which it sees within a second."""
        while not self._stopped:
            try:
                tenants = {*self._known(), *self._source.tenants()}
                for tenant in self._source.wait(tenants, timeout_s=_WAIT_S):
                    self._wake(tenant)
            except StoreUnavailable:
                self._clock.sleep(_WAIT_S)

    def stop(self) -> None:
        """End ``run``."""
        self._stopped = True
