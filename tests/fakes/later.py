"""The queue of delayed jobs in memory; ``tests/contract/test_later.py`` holds it to its port."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.errors import Invalid, NotFound, Overloaded, StoreUnavailable
from kotaemon_node.ports.later import LaterCount, LaterJob, LaterRow, LaterState, Leased


@dataclass
class _Kept:
    job: LaterJob
    state: LaterState | str
    due_s: float
    since_s: float
    attempts: int = 0
    begun: int = 0
    holder: str = ""
    error: str = ""


class MemoryLater:
    """``ports.later.Later``, ``LaterSource`` and ``LaterDesk``; ``now_s`` is its clock."""

    def __init__(self, now_s: Callable[[], float] | None = None) -> None:
        self.time_s = 1_000.0
        self.away = False
        self.kept: dict[tuple[str, str], _Kept] = {}
        self._now_s = now_s or (lambda: self.time_s)
        self._lock = threading.RLock()

    def put(self, job: LaterJob) -> bool:
        with self._answering():
            if (
                len(json.dumps(dict(job.fields), ensure_ascii=False).encode())
                > limits.LATER_JOB_BYTES_MAX
            ):
                raise Invalid("the job is too large")
            key = (job.tenant, job.name)
            if key in self.kept:
                return False
            mine = [it for (tenant, _), it in self.kept.items() if tenant == job.tenant]
            open_ = [it for it in mine if it.state in {"waiting", "running"}]
            if len(open_) >= limits.LATER_WAITING_MAX:
                raise Overloaded(f"{limits.LATER_WAITING_MAX} delayed jobs wait")
            now_s = self._now_s()
            self.kept[key] = _Kept(job, "waiting", now_s + job.due_in_s, now_s)
            return True

    def take(self, free: Mapping[str, int], *, holder: str, lease_s: float) -> Sequence[Leased]:
        with self._answering():
            taken: list[Leased] = []
            for kind, places in free.items():
                now_s = self._now_s()
                due = [it for it in self._of(kind) if it.due_s <= now_s]
                for place, it in enumerate(sorted(due, key=lambda it: it.due_s)[:places]):
                    late_s, it.due_s = now_s - it.due_s, now_s + lease_s
                    it.state, it.attempts, it.begun = "running", it.attempts + 1, it.begun + 1
                    it.holder = f"{holder}:{kind}:{place}"
                    job = replace(it.job, attempt=it.attempts, begun=it.begun, begun_at=now_s)
                    taken.append(Leased(job, it.holder, late_s, now_s - it.since_s, it.error))
            return taken

    def renew(self, leased: Leased, *, lease_s: float) -> bool:
        with self._answering():
            it = self._held(leased)
            if it is not None:
                it.due_s = self._now_s() + lease_s
            return it is not None

    def done(self, leased: Leased) -> None:
        with self._answering():
            it = self.kept.get((leased.job.tenant, leased.job.name))
            if it is not None:
                it.state, it.holder = "done", ""

    def again(self, leased: Leased, *, delay_s: float, error: str, counts: bool) -> bool:
        with self._answering():
            it = self._held(leased)
            if it is None:
                return False
            it.state, it.holder, it.error = "waiting", "", error
            it.due_s = self._now_s() + delay_s
            it.attempts -= 0 if counts else 1
            return True

    def bury(self, leased: Leased, *, error: str) -> bool:
        with self._answering():
            it = self._held(leased)
            if it is None:
                return False
            it.state, it.holder, it.error, it.due_s = "dead", "", error, self._now_s()
            return True

    def counts(self, kinds: Sequence[str]) -> Mapping[str, LaterCount]:
        with self._answering():
            now_s = self._now_s()
            return {
                kind: LaterCount(
                    waiting=len(self._of(kind)),
                    late_s=max([0.0, *(now_s - it.due_s for it in self._of(kind))]),
                    dead=sum(
                        it.job.kind == kind and it.state == "dead" for it in self.kept.values()
                    ),
                )
                for kind in kinds
            }

    def waiting(self, tenant: str, *, limit: int) -> Sequence[LaterRow]:
        with self._answering():
            rows = self._rows(tenant, {"waiting", "running"})
            return sorted(rows, key=lambda row: row.due_at)[:limit]

    def dead(self, tenant: str, *, limit: int) -> Sequence[LaterRow]:
        with self._answering():
            rows = self._rows(tenant, {"dead"})
            return sorted(rows, key=lambda row: -row.due_at)[:limit]

    def retry(self, tenant: str, name: str) -> None:
        with self._answering():
            it = self._dead(tenant, name)
            it.state, it.attempts, it.due_s = "waiting", 0, self._now_s()
            it.since_s = it.due_s

    def drop(self, tenant: str, name: str) -> None:
        with self._answering():
            self._dead(tenant, name).state = "done"

    def _dead(self, tenant: str, name: str) -> _Kept:
        it = self.kept.get((tenant, name))
        if it is None or it.state != "dead":
            raise NotFound("there is no dead letter of this id")
        return it

    def _of(self, kind: str) -> list[_Kept]:
        open_ = {"waiting", "running"}
        return [it for it in self.kept.values() if it.job.kind == kind and it.state in open_]

    def _held(self, leased: Leased) -> _Kept | None:
        it = self.kept.get((leased.job.tenant, leased.job.name))
        return it if it is not None and it.holder == leased.holder else None

    def _rows(self, tenant: str, states: set[str]) -> list[LaterRow]:
        return [
            LaterRow(
                name=name,
                kind=it.job.kind,
                state=it.state,  # type: ignore[arg-type]
                attempts=it.attempts,
                attempts_max=it.job.attempts_max,
                created_at=it.since_s,
                due_at=it.due_s,
                error=it.error,
                fields=dict(it.job.fields),
            )
            for (owner, name), it in self.kept.items()
            if owner == tenant and it.state in states
        ]

    def _answering(self) -> threading.RLock:  # type: ignore[valid-type]
        if self.away:
            raise StoreUnavailable("the session store does not answer")
        return self._lock
