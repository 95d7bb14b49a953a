"""The queue of orders: a stream of what has not ended, and a hash for each job.

One coordinator leads, so there is no consumer group: the oldest entry is next, and stays until its
job has ended. All keys of a tenant's jobs share a slot, so that each step is one script.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import orjson
import structlog

from kotaemon_node.adapters.redis.connection import RedisStore, store_errors
from kotaemon_node.adapters.redis.keys import JOB_TENANTS, JobKeys
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Conflict, NotFound, Overloaded
from kotaemon_node.ports.jobs import UPLOAD, Job, JobState, Order

_log = structlog.get_logger(__name__)

_NO_REASON: Final = ""


class RedisJobs:
    """``ports.jobs.JobQueue`` and ``JobSource``. ``wait`` is for one caller at a time."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        self._seen: dict[str, str] | None = None
        """Tenant to the last entry of its queue that ``wait`` has told of."""

    # The side of the pods.

    def submit(self, order: Order) -> Job:
        """See the port."""
        keys = JobKeys(order.tenant)
        fields = orjson.dumps(dict(order.fields), option=orjson.OPT_SORT_KEYS).decode()
        row = {"kind": order.kind, "kb": order.kb, "fields": fields}
        digest = hashlib.sha256(orjson.dumps(list(row.values())))
        flat = [part for pair in row.items() for part in pair]
        queued_max = limits.UPLOADS_QUEUED_MAX if order.kind == UPLOAD else limits.JOBS_QUEUED_MAX
        reply = self._store.run(
            "submit",
            [keys.record(order.id), keys.queue, keys.index, JOB_TENANTS],
            [
                order.id,
                digest.hexdigest(),
                queued_max,
                limits.JOBS_LISTED_MAX,
                order.tenant,
                *flat,
            ],
        )
        if reply == b"conflict":
            raise Conflict("this job id was used before with another order")
        if reply == b"full":
            raise Overloaded(f"{queued_max} jobs are waiting")
        return self.find(order.tenant, order.id)

    def find(self, tenant: str, job_id: str) -> Job:
        """See the port."""
        with store_errors():
            row = self._store.client.hgetall(JobKeys(tenant).record(job_id))
        if not row:
            raise NotFound("there is no job of this id, or it ended long ago")
        return _job(tenant, job_id, _texts(row))

    def list(self, tenant: str, *, limit: int) -> Sequence[Job]:
        """See the port."""
        keys = JobKeys(tenant)
        with store_errors():
            ids = [raw.decode() for raw in self._store.client.zrevrange(keys.index, 0, limit - 1)]
        return self._found(tenant, ids)

    def waiting(self, tenant: str) -> Sequence[Job]:
        """See the port."""
        with store_errors():
            entries = self._store.client.xrange(JobKeys(tenant).queue)
        ids = [fields[b"id"].decode() for _, fields in entries if b"id" in fields]
        return self._found(tenant, ids)

    def _found(self, tenant: str, ids: Sequence[str]) -> Sequence[Job]:
        keys = JobKeys(tenant)

        def read(pipe: Any) -> None:
            for job_id in ids:
                pipe.hgetall(keys.record(job_id))

        rows = self._store.pipelined(read) if ids else []
        found = zip(ids, rows, strict=True)
        return [_job(tenant, job_id, _texts(row)) for job_id, row in found if row]

    # The side of the leader.

    def begin(self, tenant: str, *, beside: Collection[str] = ()) -> Job | None:
        """See the port."""
        keys = JobKeys(tenant)
        others = frozenset(job_id.encode() for job_id in beside)
        while True:
            with store_errors():
                entries = self._store.client.xrange(keys.queue, count=len(others) + 1)
            left = [it for it in entries if it[1].get(b"id") not in others]
            if not left:
                return None
            entry, fields = left[0]
            try:
                job = self._begun(tenant, entry, fields)
            except (LookupError, ValueError) as error:
                # Not written by a pod: it must not stand before the others for ever.
                _log.error("job_unreadable", entry=entry.decode(), reason=repr(error))
                with store_errors():
                    self._store.client.xdel(keys.queue, entry)
                continue
            if job is not None:
                return job

    def _begun(self, tenant: str, entry: bytes, fields: Mapping[bytes, bytes]) -> Job | None:
        """Begin the job of an entry; None where its record is lost, and its entry now, too."""
        keys, job_id = JobKeys(tenant), fields[b"id"].decode()
        flat = self._store.run("begin", [keys.record(job_id), keys.queue], [entry.decode()])
        return (
            _job(tenant, job_id, _texts(dict(zip(flat[::2], flat[1::2], strict=True))))
            if flat
            else None
        )

    def finish(self, job: Job, result: Mapping[str, Any]) -> None:
        """See the port."""
        self._end(job, "done", _NO_REASON, result, dead_max=0)

    def fail(self, job: Job, reason: str, *, dead: bool = False) -> None:
        """See the port."""
        self._end(job, "failed", reason, {}, dead_max=limits.JOBS_DEAD_MAX if dead else 0)

    def tenants(self) -> Collection[str]:
        """See the port."""
        with store_errors():
            return {raw.decode() for raw in self._store.client.smembers(JOB_TENANTS)}

    def wait(self, tenants: Collection[str], *, timeout_s: float) -> Collection[str]:
        """See the port."""
        known = self._seen
        begins = {it: "0-0" for it in tenants} if known is not None else self._newest(tenants)
        seen = {it: (known or begins).get(it, begins[it]) for it in tenants}
        self._seen = seen
        queues = {JobKeys(it).queue.encode(): it for it in seen}
        with store_errors():
            reply: Any = self._store.client.xread(
                {JobKeys(it).queue: entry for it, entry in seen.items()},
                block=int(timeout_s * 1000),
            )
        for queue, entries in reply or ():
            seen[queues[queue]] = entries[-1][0].decode()
        return [queues[queue] for queue, _ in reply or ()]

    def _newest(self, tenants: Collection[str]) -> dict[str, str]:
        def read(pipe: Any) -> None:
            for tenant in tenants:
                pipe.xrevrange(JobKeys(tenant).queue, count=1)

        found = zip(tenants, self._store.pipelined(read), strict=True)
        return {tenant: rows[0][0].decode() if rows else "0-0" for tenant, rows in found}

    def _end(
        self,
        job: Job,
        state: JobState,
        reason: str,
        result: Mapping[str, Any],
        *,
        dead_max: int,
    ) -> None:
        keys = JobKeys(job.order.tenant)
        self._store.run(
            "finish",
            [keys.record(job.order.id), keys.queue, keys.dead, JOB_TENANTS],
            [
                job.order.id,
                state,
                reason,
                orjson.dumps(dict(result)),
                limits.UPLOAD_JOBS_KEPT_S if job.order.kind == UPLOAD else limits.JOBS_KEPT_S,
                dead_max,
                job.order.tenant,
            ],
        )


def _texts(row: Mapping[bytes, bytes]) -> Mapping[str, str]:
    return {name.decode(): value.decode() for name, value in row.items()}


def _job(tenant: str, job_id: str, row: Mapping[str, str]) -> Job:
    state: Any = row["state"]
    return Job(
        order=Order(
            id=job_id,
            kind=row["kind"],
            tenant=tenant,
            kb=row["kb"],
            fields=orjson.loads(row["fields"]),
        ),
        state=state,
        attempts=int(row["attempts"]),
        created_at=int(row["created_ms"]) / 1000,
        changed_at=int(row["changed_ms"]) / 1000,
        reason=row.get("reason") or None,
        result=orjson.loads(row.get("result") or "{}"),
    )
