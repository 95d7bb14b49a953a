"""The queue of orders in memory, which can be away.

``tests/contract/test_jobs.py`` holds it to what the Redis adapter does.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Conflict, NotFound, Overloaded, StoreUnavailable
from kotaemon_node.ports.jobs import UPLOAD, Job, JobState, Order


@dataclass
class MemoryJobs:
    """``ports.jobs.JobQueue`` and ``JobSource``."""

    jobs: dict[tuple[str, str], Job] = field(default_factory=dict)
    queue: list[tuple[str, str]] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)
    away: bool = False
    _submitted: list[str] = field(default_factory=list)
    """Tenants, in the order of their orders."""
    _seen: dict[str, int] | None = None

    def submit(self, order: Order) -> Job:
        self._answer()
        key = (order.tenant, order.id)
        known = self.jobs.get(key)
        if known is not None:
            if known.order != order:
                raise Conflict("this job id was used before with another order")
            return known
        queued_max = limits.UPLOADS_QUEUED_MAX if order.kind == UPLOAD else limits.JOBS_QUEUED_MAX
        if len(self.queue) >= queued_max:
            raise Overloaded(f"{queued_max} jobs are waiting")
        self.jobs[key] = Job(order, "queued", attempts=0, created_at=1.0, changed_at=1.0)
        self.queue.append(key)
        self._submitted.append(order.tenant)
        return self.jobs[key]

    def find(self, tenant: str, job_id: str) -> Job:
        self._answer()
        job = self.jobs.get((tenant, job_id))
        if job is None:
            raise NotFound("there is no job of this id, or it ended long ago")
        return job

    def list(self, tenant: str, *, limit: int) -> Sequence[Job]:
        self._answer()
        return [job for job in reversed(self.jobs.values()) if job.order.tenant == tenant][:limit]

    def waiting(self, tenant: str) -> Sequence[Job]:
        self._answer()
        return [self.jobs[key] for key in self.queue if key[0] == tenant]

    def begin(self, tenant: str, *, beside: Collection[str] = ()) -> Job | None:
        self._answer()
        for key in self.queue:
            if key[0] == tenant and key[1] not in beside:
                job = self.jobs[key]
                self.jobs[key] = replace(job, state="running", attempts=job.attempts + 1)
                return self.jobs[key]
        return None

    def finish(self, job: Job, result: Mapping[str, Any]) -> None:
        self._end(job, "done", reason=None, result=result)

    def fail(self, job: Job, reason: str, *, dead: bool = False) -> None:
        if self._end(job, "failed", reason=reason, result={}) and dead:
            self.dead.append(job.order.id)

    def tenants(self) -> Collection[str]:
        self._answer()
        return {tenant for tenant, _ in self.queue}

    def wait(self, tenants: Collection[str], *, timeout_s: float) -> Collection[str]:
        self._answer()
        known, now = self._seen, {it: self._submitted.count(it) for it in tenants}
        self._seen = now
        return [it for it in tenants if now[it] > (now if known is None else known).get(it, 0)]

    def _end(
        self, job: Job, state: JobState, *, reason: str | None, result: Mapping[str, Any]
    ) -> bool:
        self._answer()
        key = (job.order.tenant, job.order.id)
        if key not in self.queue:
            return False
        self.queue.remove(key)
        self.jobs[key] = replace(self.jobs[key], state=state, reason=reason, result=dict(result))
        return True

    def _answer(self) -> None:
        if self.away:
            raise StoreUnavailable("the session store does not answer")
