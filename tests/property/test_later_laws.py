"""The queue of delayed jobs does what a model of it does, on a real Redis and in memory.

Delays and leases are nothing or an hour, so that what is due does not depend on how fast the
machine is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kotaemon_node.adapters.redis import RedisLater, connect
from kotaemon_node.domain.errors import NotFound
from kotaemon_node.ports.later import LaterJob, Leased
from tests.fakes.later import MemoryLater
from tests.redis_server import RedisServer

NAMES = st.sampled_from([f"job-{number}" for number in range(6)])
TENANTS = st.sampled_from(["t", "u"])
HOUR_OR_NONE = st.sampled_from([0.0, 3600.0])
KINDS = ("mail", "call")


@dataclass
class Expected:
    """What a job should look like."""

    kind: str
    state: str
    due: bool
    attempts: int = 0
    holder: str = ""
    error: str = ""


class LaterMachine(RuleBasedStateMachine):
    make: ClassVar[Any] = MemoryLater

    def __init__(self) -> None:
        super().__init__()
        self.later = type(self).make()
        self.jobs: dict[tuple[str, str], Expected] = {}
        self.leases: list[Leased] = []
        self.calls = 0

    @initialize(names=st.lists(st.tuples(NAMES, TENANTS), min_size=4))
    def begin(self, names: list[tuple[str, str]]) -> None:
        """Begin with jobs that are due: from an empty queue most steps would do nothing."""
        for name, tenant in names:
            self.put(name, tenant, KINDS[int(name[-1]) % 2], 0.0)

    @rule(name=NAMES, tenant=TENANTS, kind=st.sampled_from(KINDS), delay_s=HOUR_OR_NONE)
    def put(self, name: str, tenant: str, kind: str, delay_s: float) -> None:
        new = (tenant, name) not in self.jobs
        job = LaterJob(name, kind, tenant, {"name": name}, due_in_s=delay_s)
        assert self.later.put(job) is new
        if new:
            self.jobs[tenant, name] = Expected(kind, "waiting", due=delay_s == 0)

    @rule(mail=st.integers(0, 3), call=st.integers(0, 3), lease_s=HOUR_OR_NONE)
    def take(self, mail: int, call: int, lease_s: float) -> None:
        self.calls += 1
        wanted = {"mail": mail, "call": call}
        found = self.later.take(wanted, holder=f"call-{self.calls}", lease_s=lease_s)
        for kind, most in wanted.items():
            due = [it for it in self.jobs.values() if it.kind == kind and it.due]
            assert sum(it.job.kind == kind for it in found) == min(most, len(due))
        for leased in found:
            job = self.jobs[leased.job.tenant, leased.job.name]
            assert job.due
            job.state, job.holder, job.due = "running", leased.holder, lease_s == 0
            job.attempts += 1
            assert (leased.job.attempt, leased.error) == (job.attempts, job.error)
        self.leases += found

    @precondition(lambda self: self.leases)
    @rule(
        data=st.data(),
        how=st.sampled_from(["renew", "again", "not yet", "bury", "done"]),
        delay_s=HOUR_OR_NONE,
    )
    def end(self, data: Any, how: str, delay_s: float) -> None:
        """Somebody who was handed a job, perhaps long ago, says what became of it."""
        leased = data.draw(st.sampled_from(self.leases))
        job = self.jobs[leased.job.tenant, leased.job.name]
        mine = job.state == "running" and job.holder == leased.holder
        if how == "done":
            self.later.done(leased)
            job.state, job.holder, job.due = "done", "", False
        elif how == "renew":
            assert self.later.renew(leased, lease_s=delay_s) is mine
            job.due = delay_s == 0 if mine else job.due
        elif how == "bury":
            assert self.later.bury(leased, error="hopeless") is mine
            if mine:
                job.state, job.holder, job.error, job.due = "dead", "", "hopeless", False
        else:
            error, counts = f"error {self.calls}", how == "again"
            given = self.later.again(leased, delay_s=delay_s, error=error, counts=counts)
            assert given is mine
            if mine:
                job.state, job.holder, job.error, job.due = "waiting", "", error, delay_s == 0
                job.attempts -= not counts

    @precondition(lambda self: any(it.state == "dead" for it in self.jobs.values()))
    @rule(name=NAMES, tenant=TENANTS, revive=st.booleans())
    def decide(self, name: str, tenant: str, revive: bool) -> None:
        job = self.jobs.get((tenant, name))
        decide = self.later.retry if revive else self.later.drop
        if job is None or job.state != "dead":
            with pytest.raises(NotFound):
                decide(tenant, name)
            return
        decide(tenant, name)
        job.state, job.attempts, job.due = ("waiting", 0, True) if revive else ("done", 0, False)

    @invariant()
    def shows_what_is_there(self) -> None:
        for tenant in ("t", "u"):
            for listed, states in (
                (self.later.waiting(tenant, limit=50), {"waiting", "running"}),
                (self.later.dead(tenant, limit=50), {"dead"}),
            ):
                assert {(it.name, it.kind, it.state, it.attempts, it.error) for it in listed} == {
                    (name, it.kind, it.state, it.attempts, it.error)
                    for (owner, name), it in self.jobs.items()
                    if owner == tenant and it.state in states
                }
        counts = self.later.counts(KINDS)
        for kind in KINDS:
            mine = [it.state for it in self.jobs.values() if it.kind == kind]
            open_ = sum(state in {"waiting", "running"} for state in mine)
            assert (counts[kind].waiting, counts[kind].dead) == (open_, mine.count("dead"))


@pytest.fixture(scope="module")
def redis_later() -> Iterator[Any]:
    server = RedisServer()
    server.start()
    store = connect(server.url)

    def make() -> RedisLater:
        store.client.flushall()
        return RedisLater(store)

    yield make
    store.client.close()
    server.remove()


@pytest.mark.parametrize("where", ["memory", "redis"])
def test_it_does_what_the_model_does(where: str, request: pytest.FixtureRequest) -> None:
    make = MemoryLater if where == "memory" else request.getfixturevalue("redis_later")
    machine = type("Machine", (LaterMachine,), {"make": staticmethod(make)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            # To make a failure smaller takes minutes over Redis; a run has 25 steps at most.
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
