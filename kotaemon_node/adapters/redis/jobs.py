"""The queue of orders: a stream of what has not ended, and a hash for each job.

One coordinator leads, so there is no consumer group: the oldest entry is next, and stays until its
job has ended. All keys of a tenant's jobs share a slot, so that each step is one script.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson
import structlog

from kotaemon_node.adapters.redis.connection import RedisStore
from kotaemon_node.adapters.redis.job_keys import JOB_TENANTS, JobKeys
from kotaemon_node.adapters.redis.store_errors import store_errors
from kotaemon_node.adapters.redis.stored_text import as_bytes, texts_of, texts_of_flat
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import Conflict, MasterKeyMissing, NotFound, Overloaded, Sealed
from kotaemon_node.ports.cipher import SealedPlace
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
        said = orjson.dumps([order.kind, order.kb, fields])
        sealed = self._sealed(order.tenant, order.id, "fields", fields.encode())
        flat = ["kind", order.kind, "kb", order.kb, "fields", sealed]
        digests = [
            self._store.cipher.digest(said, order.tenant).hex(),
            hashlib.sha256(said).hexdigest(),
        ]
        if sealed == fields.encode():
            digests.reverse()  # what nothing hides is known by the one that every program makes
        queued_max = limits.UPLOADS_QUEUED_MAX if order.kind == UPLOAD else limits.JOBS_QUEUED_MAX
        reply = self._store.run(
            "submit",
            [keys.record(order.id), keys.queue, keys.index, JOB_TENANTS],
            [
                order.id,
                digests[0],
                queued_max,
                limits.JOBS_LISTED_MAX,
                order.tenant,
                digests[1],
                *flat,
            ],
        )
        if reply == b"conflict":
            self._known_as(order)
            raise Conflict("this job id was used before with another order")
        if reply == b"full":
            raise Overloaded(f"{queued_max} jobs are waiting")
        return self.find(order.tenant, order.id)

    def _known_as(self, order: Order) -> None:
        """Raise ``Sealed`` where what an id stands for cannot be compared: it cannot be opened."""
        with store_errors():
            row = self._store.client.hgetall(JobKeys(order.tenant).record(order.id))
        if row:
            self._job(order.tenant, order.id, texts_of(row))

    def find(self, tenant: str, job_id: str) -> Job:
        """See the port."""
        with store_errors():
            row = self._store.client.hgetall(JobKeys(tenant).record(job_id))
        if not row:
            raise NotFound("there is no job of this id, or it ended long ago")
        return self._shown(tenant, job_id, texts_of(row))

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
        return [self._shown(tenant, job_id, texts_of(row)) for job_id, row in found if row]

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
            except MasterKeyMissing:
                raise  # it is begun again by who has the key
            except Sealed as error:
                job_id = fields[b"id"].decode()
                _log.error("job_sealed", job=job_id, reason=str(error))
                self._finish(tenant, job_id, "failed", str(error), {}, kept_s=limits.JOBS_KEPT_S)
                continue
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
        with store_errors():
            row = self._store.client.hgetall(keys.record(job_id))
        if row:
            self._job(tenant, job_id, texts_of(row))  # what cannot be opened here is not begun
        flat = self._store.run("begin", [keys.record(job_id), keys.queue], [entry.decode()])
        return self._job(tenant, job_id, texts_of_flat(flat)) if flat else None

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
        upload = job.order.kind == UPLOAD
        self._finish(
            job.order.tenant,
            job.order.id,
            state,
            reason,
            result,
            kept_s=limits.UPLOAD_JOBS_KEPT_S if upload else limits.JOBS_KEPT_S,
            dead_max=dead_max,
        )

    def _finish(
        self,
        tenant: str,
        job_id: str,
        state: JobState,
        reason: str,
        result: Mapping[str, Any],
        *,
        kept_s: int,
        dead_max: int = 0,
    ) -> None:
        keys = JobKeys(tenant)
        self._store.run(
            "finish",
            [keys.record(job_id), keys.queue, keys.dead, JOB_TENANTS],
            [
                job_id,
                state,
                self._sealed(tenant, job_id, "reason", reason.encode()),
                self._sealed(tenant, job_id, "result", orjson.dumps(dict(result))),
                kept_s,
                dead_max,
                tenant,
            ],
        )

    def _shown(self, tenant: str, job_id: str, row: Mapping[str, str]) -> Job:
        """Return a job to be looked at: one that nobody opens any more does not hide the others."""
        try:
            return self._job(tenant, job_id, row)
        except MasterKeyMissing:
            raise  # another pod shows it
        except Sealed as error:
            told = {**row, "fields": "", "reason": "", "result": ""}
            return replace(self._job(tenant, job_id, told), reason=str(error))

    def _job(self, tenant: str, job_id: str, row: Mapping[str, str]) -> Job:
        state: Any = row["state"]
        return Job(
            order=Order(
                id=job_id,
                kind=row["kind"],
                tenant=tenant,
                kb=row["kb"],
                fields=orjson.loads(self._opened(tenant, job_id, row, "fields") or "{}"),
            ),
            state=state,
            attempts=int(row["attempts"]),
            created_at=int(row["created_ms"]) / 1000,
            changed_at=int(row["changed_ms"]) / 1000,
            reason=self._opened(tenant, job_id, row, "reason") or None,
            result=orjson.loads(self._opened(tenant, job_id, row, "result") or "{}"),
        )

    def _sealed(self, tenant: str, job_id: str, field: str, value: bytes) -> bytes:
        return self._store.cipher.seal(value, _place(tenant, job_id, field)) if value else value

    def _opened(self, tenant: str, job_id: str, row: Mapping[str, str], field: str) -> str:
        stored = as_bytes(row[field] if field == "fields" else row.get(field, ""))
        place = _place(tenant, job_id, field)
        return self._store.cipher.open(stored, place).decode() if stored else ""


def _place(tenant: str, job_id: str, field: str) -> SealedPlace:
    return SealedPlace(tenant, f"job {field} {job_id}")
