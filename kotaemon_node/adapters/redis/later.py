"""Delayed jobs in Redis: in shards by the job's name, each of which shares a slot.

A job that is leased stays among those that are due, at the end of its lease. So nothing has to
notice that a pod died, and nothing is moved when one takes a job.
"""

import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import orjson
import structlog

from kotaemon_node.adapters.redis.connection import Call, RedisStore
from kotaemon_node.adapters.redis.later_keys import LaterKeys
from kotaemon_node.adapters.redis.store_errors import store_errors
from kotaemon_node.adapters.redis.stored_text import as_bytes, texts_of, texts_of_flat
from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.errors import (
    Invalid,
    MasterKeyMissing,
    NotFound,
    Overloaded,
    Sealed,
    StoreUnavailable,
    Unavailable,
)
from kotaemon_node.ports.cipher import SealedPlace
from kotaemon_node.ports.later import LaterCount, LaterJob, LaterRow, LaterState, Leased

_log = structlog.get_logger(__name__)

_OF_SHARD: Final = limits.LATER_SHARDS
_ELSEWHERE_S: Final = 5.0  # until a job that is sealed for this pod is due again
_OPEN: Final = frozenset({"waiting", "running"})

_Problem = Sealed | Unavailable
"""Why a job says nothing here; the latter: its key cannot be looked up now."""


class RedisLater:
    """``ports.later.Later``, ``LaterSource`` and ``LaterDesk``. Thread safe."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store

    # The side of who has something to be done.

    def put(self, job: LaterJob) -> bool:
        """See the port."""
        fields = orjson.dumps(dict(job.fields))
        if len(fields) > limits.LATER_JOB_BYTES_MAX:
            raise Invalid(f"a delayed job has more than {limits.LATER_JOB_BYTES_MAX} bytes")
        keys = LaterKeys.of(job.tenant, job.name)
        row = {
            "id": job.id,
            "kind": job.kind,
            "fields": self._sealed(keys, "fields", fields),
            "attempts_max": job.attempts_max,
        }
        reply = self._store.run(
            "later_put",
            [keys.record, keys.due(job.kind), keys.waiting],
            [
                keys.member,
                job.name,
                round(max(0.0, job.due_in_s) * 1000),
                limits.LATER_WAITING_MAX // _OF_SHARD,
                *(part for pair in row.items() for part in pair),
            ],
        )
        if reply == b"full":
            raise Overloaded(f"{limits.LATER_WAITING_MAX} delayed jobs wait")
        return bool(reply == b"new")

    # The side of the pods.

    def take(self, free: Mapping[str, int], *, holder: str, lease_s: float) -> Sequence[Leased]:
        """See the port. What one node of a Cluster does not say now, it says at the next call."""
        left = dict(free)
        taken: list[Leased] = []
        failure: StoreUnavailable | None = None
        for shard in _begun_anywhere(holder):
            if not any(left.values()):
                break
            try:
                rows = self._taken(shard, left, holder=holder, lease_s=lease_s)
            except StoreUnavailable as error:
                failure = error
                continue
            for row in rows:
                leased, problem = self._leased(row, holder)
                if problem is not None:
                    self._left(leased, problem)
                    continue
                left[leased.job.kind] -= 1
                taken.append(leased)
        if failure is not None and not taken:
            raise failure
        return taken

    def _taken(
        self, shard: int, free: Mapping[str, int], *, holder: str, lease_s: float
    ) -> Sequence[Any]:
        due = [LaterKeys.due_of(shard, kind) for kind in free]
        arguments = [LaterKeys.prefix_of(shard), holder, round(lease_s * 1000), *free.values()]
        rows: Sequence[Any] = self._store.run("later_take", due, arguments)
        return rows

    def renew(self, leased: Leased, *, lease_s: float) -> bool:
        """See the port."""
        job = leased.job
        keys = LaterKeys.of(job.tenant, job.name)
        arguments = [keys.member, leased.holder, round(lease_s * 1000)]
        reply = self._store.run("later_renew", [keys.record, keys.due(job.kind)], arguments)
        return bool(reply)

    def done(self, leased: Leased) -> None:
        """See the port."""
        self._end(leased.job.tenant, leased.job.name, leased.job.kind, only_dead=False)

    def again(self, leased: Leased, *, delay_s: float, error: str, counts: bool) -> bool:
        """See the port."""
        job = leased.job
        keys = LaterKeys.of(job.tenant, job.name)
        reply = self._store.run(
            "later_again",
            [keys.record, keys.due(job.kind), keys.waiting],
            [
                keys.member,
                job.name,
                leased.holder,
                round(max(0.0, delay_s) * 1000),
                self._sealed(keys, "error", error[: limits.LATER_ERROR_CHARS_MAX].encode()),
                int(counts),
            ],
        )
        return bool(reply)

    def bury(self, leased: Leased, *, error: str) -> bool:
        """See the port."""
        job = leased.job
        keys = LaterKeys.of(job.tenant, job.name)
        reply = self._store.run(
            "later_bury",
            keys.all(job.kind),
            [
                keys.member,
                job.name,
                leased.holder,
                self._sealed(keys, "error", error[: limits.LATER_ERROR_CHARS_MAX].encode()),
                limits.LATER_DEAD_MAX // _OF_SHARD,
                keys.prefix,
                job.tenant,
            ],
        )
        return bool(reply)

    def counts(self, kinds: Sequence[str]) -> Mapping[str, LaterCount]:
        """See the port."""
        calls: list[Call] = []
        for shard in range(limits.LATER_SHARDS):
            pairs = [(LaterKeys.due_of(shard, it), LaterKeys.dead_of(shard, it)) for it in kinds]
            calls.append(([key for pair in pairs for key in pair], []))
        replies = self._store.run_many("later_count", calls)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return {
            kind: LaterCount(
                waiting=sum(int(reply[at][0]) for reply in replies),
                late_s=max(int(reply[at][1]) for reply in replies) / 1000,
                dead=sum(int(reply[at][2]) for reply in replies),
            )
            for at, kind in enumerate(kinds)
        }

    # The side of people.

    def waiting(self, tenant: str, *, limit: int) -> Sequence[LaterRow]:
        """See the port."""
        rows = self._listed(tenant, limit, dead=False)
        return sorted(rows, key=lambda row: (row.due_at, row.name))[:limit]

    def dead(self, tenant: str, *, limit: int) -> Sequence[LaterRow]:
        """See the port."""
        rows = self._listed(tenant, limit, dead=True)
        return sorted(rows, key=lambda row: (-row.due_at, row.name))[:limit]

    def retry(self, tenant: str, name: str) -> None:
        """See the port."""
        keys = LaterKeys.of(tenant, name)
        kind = self._kind(keys)
        if not self._store.run("later_revive", keys.all(kind), [keys.member, name]):
            raise NotFound("there is no dead letter of this id")

    def drop(self, tenant: str, name: str) -> None:
        """See the port."""
        if not self._end(tenant, name, self._kind(LaterKeys.of(tenant, name)), only_dead=True):
            raise NotFound("there is no dead letter of this id")

    def _end(self, tenant: str, name: str, kind: str, *, only_dead: bool) -> bool:
        keys = LaterKeys.of(tenant, name)
        arguments = [keys.member, name, int(only_dead), limits.LATER_DONE_KEPT_S]
        return bool(self._store.run("later_done", keys.all(kind), arguments))

    def _kind(self, keys: LaterKeys) -> str:
        with store_errors():
            kind = self._store.client.hget(keys.record, "kind")
        if kind is None:
            raise NotFound("there is no dead letter of this id")
        return str(kind.decode())

    def _listed(self, tenant: str, limit: int, *, dead: bool) -> list[LaterRow]:
        def names(pipe: Any) -> None:
            for shard in range(limits.LATER_SHARDS):
                if dead:
                    pipe.zrange(LaterKeys.dead_letters_of(shard, tenant), 0, limit - 1, desc=True)
                else:
                    pipe.zrange(LaterKeys.waiting_of(shard, tenant), 0, limit - 1)

        found = [raw.decode() for part in self._store.pipelined(names) for raw in part]

        def read(pipe: Any) -> None:
            for name in found:
                pipe.hgetall(LaterKeys.of(tenant, name).record)

        rows = self._store.pipelined(read) if found else []
        wanted = {"dead"} if dead else _OPEN
        listed = [
            self._row(LaterKeys.of(tenant, name), texts_of(row))
            for name, row in zip(found, rows, strict=True)
            if row
        ]
        # It may have ended, died or come to life between the two reads.
        return [row for row in listed if row is not None and row.state in wanted]

    def _left(self, leased: Leased, problem: _Problem) -> None:
        """Leave a job that cannot be opened to pods that may, or to people; others come first."""
        _log.error("later_job_sealed", job=leased.job.name, reason=str(problem))
        with suppress(Unavailable):  # it is due again when its lease ends
            if isinstance(problem, MasterKeyMissing | Unavailable):
                # No error is kept: it would have to be sealed, for which there is no key here.
                self.again(leased, delay_s=_ELSEWHERE_S, error="", counts=False)
            else:
                self.bury(leased, error=str(problem))

    def _leased(self, reply: Sequence[Any], holder: str) -> tuple[Leased, _Problem | None]:
        """Return a job, and why it says nothing here."""
        member, late_ms, age_ms, flat, now_ms = reply
        tenant, _, name = member.decode().partition("/")
        row, keys = texts_of_flat(flat), LaterKeys.of(tenant, name)
        fields, error, problem = self._said(keys, row)
        job = LaterJob(
            id=row["id"],
            kind=row["kind"],
            tenant=tenant,
            fields=fields,
            attempts_max=int(row["attempts_max"]),
            attempt=int(row["attempts"]),
            begun=int(row["begun"]),
            begun_at=int(now_ms) / 1000,
        )
        return Leased(job, holder, int(late_ms) / 1000, int(age_ms) / 1000, error), problem

    def _row(self, keys: LaterKeys, row: Mapping[str, str]) -> LaterRow | None:
        if "kind" not in row:
            return None  # what is kept of a job that ended
        state: Any = row["state"]
        known: LaterState = state
        fields, error, problem = self._said(keys, row)
        return LaterRow(
            name=keys.name,
            kind=row["kind"],
            state=known,
            attempts=int(row["attempts"]),
            attempts_max=int(row["attempts_max"]),
            created_at=int(row["since_ms"]) / 1000,
            due_at=int(row["due_ms"]) / 1000,
            error=error or str(problem or ""),
            fields=fields,
        )

    def _said(
        self, keys: LaterKeys, row: Mapping[str, str]
    ) -> tuple[Mapping[str, Any], str, _Problem | None]:
        """Return fields and error of a job; nothing and why where they cannot be opened."""
        try:
            fields = orjson.loads(self._opened(keys, row, "fields"))
            return fields, self._opened(keys, row, "error"), None
        except (Sealed, Unavailable) as problem:
            return {}, "", problem

    def _sealed(self, keys: LaterKeys, field: str, value: bytes) -> bytes:
        return self._store.cipher.seal(value, _place(keys, field)) if value else value

    def _opened(self, keys: LaterKeys, row: Mapping[str, str], field: str) -> str:
        stored = as_bytes(row[field])
        return self._store.cipher.open(stored, _place(keys, field)).decode() if stored else ""


def _place(keys: LaterKeys, field: str) -> SealedPlace:
    return SealedPlace(keys.tenant, f"later {field} {keys.name}")


def _begun_anywhere(holder: str) -> Sequence[int]:
    """Return all shards, beginning with another one for each call: none is always the last."""
    first = zlib.crc32(holder.encode()) % limits.LATER_SHARDS
    return [(first + step) % limits.LATER_SHARDS for step in range(limits.LATER_SHARDS)]
