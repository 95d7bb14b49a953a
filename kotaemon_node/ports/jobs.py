"""Orders that any pod takes and the coordinator that leads carries out, in their order."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

JobState = Literal["queued", "running", "done", "failed"]

UPLOAD: Final = "upload"
"""The kind of order that brings a file: ``fields`` are ``document``, ``revision``, ``bytes``."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done. ``kind`` and ``fields`` (JSON) are known to whoever carries it out."""

    id: str
    kind: str
    tenant: str
    kb: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Job:
    """An order and what became of it."""

    order: Order
    state: JobState
    attempts: int
    """How often it was begun."""
    created_at: float
    changed_at: float
    """Seconds since the Unix epoch, by the clock of the store."""
    reason: str | None = None
    """Why it failed."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """What it made, as ``{"generation": 7}``."""


class JobQueue(Protocol):
    """The side of the pods. Jobs of one tenant are seen by that tenant alone."""

    def submit(self, order: Order) -> Job:
        """Put an order behind the others, once: the same order under the same id is that job.

        Raises ``Conflict`` where the id stands for another order, ``Overloaded`` where
        ``JOBS_QUEUED_MAX`` (of uploads ``UPLOADS_QUEUED_MAX``) wait, ``StoreUnavailable``.
        """
        ...

    def find(self, tenant: str, job_id: str) -> Job:
        """Return a job; ``NotFound`` for an unknown one and ``JOBS_KEPT_S`` after its end."""
        ...

    def list(self, tenant: str, *, limit: int) -> Sequence[Job]:
        """Return the newest jobs that are kept, newest first; at most ``JOBS_LISTED_MAX``."""
        ...

    def waiting(self, tenant: str) -> Sequence[Job]:
        """Return the jobs that have not ended, oldest first; ``StoreUnavailable``."""
        ...


class JobSource(Protocol):
    """The side of the leader. Who calls it without leading may do harm to nothing but order.

    Each job is handed out at least once, and again until ``finish`` or ``fail``.
    """

    def begin(self, tenant: str, *, beside: Collection[str] = ()) -> Job | None:
        """Return the oldest job that has not ended, as begun once more; None when all have.

        ``beside`` are the ids of jobs that the caller has begun and that wait for something.
        A job whose record is lost is dropped: nobody could tell what was ordered.
        """
        ...

    def finish(self, job: Job, result: Mapping[str, Any]) -> None:
        """Note that the job's effect is there; it is not handed out again."""
        ...

    def fail(self, job: Job, reason: str, *, dead: bool = False) -> None:
        """Note that it never will be; ``dead`` also puts it on the list of dead ones."""
        ...

    def find(self, tenant: str, job_id: str) -> Job:
        """As ``JobQueue.find``."""
        ...

    def tenants(self) -> Collection[str]:
        """Return the tenants that have jobs which have not ended; one may be named in vain."""
        ...

    def wait(self, tenants: Collection[str], *, timeout_s: float) -> Collection[str]:
        """Return whose orders came as soon as one does, nobody after ``timeout_s``.

        The first call tells what comes after it; later ones what came since the call before, of a
        tenant that was not named in that one all that waits.
        """
        ...
