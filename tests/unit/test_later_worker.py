"""The worker of delayed jobs: how jobs end, by a clock that the test moves."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from kotaemon_node.domain import acting_limits as limits
from kotaemon_node.domain.errors import Draining, StoreUnavailable, Unavailable
from kotaemon_node.engine.later import LaterWorker, Noting, backoff_s
from kotaemon_node.ports.later import Again, Hopeless, LaterJob
from tests.fakes.later import MemoryLater


@dataclass
class Bench:
    """A queue, a worker whose tasks run when the test says so, and what it was told."""

    later: MemoryLater = field(default_factory=MemoryLater)
    does: Callable[[LaterJob], None] = lambda job: None
    begun: list[tuple[str, int]] = field(default_factory=list)
    ended: list[tuple[str, str]] = field(default_factory=list)
    tasks: list[Callable[[], None]] = field(default_factory=list)
    waits: bool = False
    leaving: bool = False
    names: int = 0
    pods: int = 1

    def __post_init__(self) -> None:
        self.worker = LaterWorker(
            self.later,
            handlers={"mail": self._handle},
            clock=self,  # type: ignore[arg-type]
            ids=self,  # type: ignore[arg-type]
            tasks=self,  # type: ignore[arg-type]
            draining=lambda: self.leaving,
            jitter=lambda: 0.5,
            noting=Noting(ended=lambda kind, outcome: self.ended.append((kind, outcome))),
            pods=lambda: self.pods,
        )

    def _handle(self, job: LaterJob) -> None:
        self.begun.append((job.id, job.attempt))
        self.does(job)

    # What the worker is given: clock, ids and tasks.

    def monotonic_s(self) -> float:
        return self.later.time_s

    def sleep(self, duration_s: float) -> None:
        self.later.time_s += duration_s

    def new_id(self) -> str:
        self.names += 1
        return f"holder-{self.names}"

    def spawn(self, name: str, work: Callable[[], None]) -> None:
        if self.waits:
            self.tasks.append(work)
        else:
            work()

    def passes(self, duration_s: float) -> None:
        self.later.time_s += duration_s
        self.worker.step()


def raising(error: Exception) -> Callable[[LaterJob], None]:
    def does(job: LaterJob) -> None:
        raise error

    return does


def put(bench: Bench, name: str = "one", **more: Any) -> None:
    bench.later.put(LaterJob(name, "mail", "t", **more))


def test_what_is_due_is_done_and_no_more() -> None:
    bench = Bench()
    put(bench)
    put(bench, "later", due_in_s=60)
    bench.worker.step()
    bench.passes(30)
    assert bench.begun == [("one", 1)]
    bench.passes(31)
    assert bench.begun == [("one", 1), ("later", 1)]
    assert bench.ended == [("mail", "done")] * 2


def test_what_fails_is_tried_again_ever_more_rarely_and_then_is_a_dead_letter() -> None:
    bench = Bench(does=raising(Unavailable("nobody is there")))
    put(bench, attempts_max=4)
    times: list[float] = []
    for _ in range(200):
        before = len(bench.begun)
        bench.passes(0.5)
        if len(bench.begun) > before:
            times.append(bench.later.time_s)
    assert [attempt for _, attempt in bench.begun] == [1, 2, 3, 4]
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert pauses == pytest.approx([2, 4, 8], abs=0.6)
    [row] = bench.later.dead("t", limit=10)
    assert (row.name, row.error, row.attempts) == ("one", "nobody is there", 4)
    assert [outcome for _, outcome in bench.ended] == ["failed"] * 3 + ["dead"]


def test_the_time_between_attempts_is_bounded_and_never_quite_the_same() -> None:
    assert backoff_s(1, jitter=0.0) == limits.LATER_BACKOFF_S / 2
    assert backoff_s(60, jitter=0.5) == limits.LATER_BACKOFF_S_MAX
    assert backoff_s(3, jitter=0.1) < backoff_s(3, jitter=0.9)


def test_what_says_again_loses_no_attempt_until_it_waited_for_too_long() -> None:
    bench = Bench(does=raising(Again(30, "not yet")))
    put(bench, attempts_max=1)
    for _ in range(5):
        bench.passes(31)
    assert bench.begun == [("one", 1)] * 5
    bench.passes(limits.LATER_AGE_MAX_S)
    [row] = bench.later.dead("t", limit=10)
    assert row.error == "it waited for too long"


@pytest.mark.parametrize("error", [StoreUnavailable("away"), Draining("this pod is leaving")])
def test_what_this_pod_or_the_store_lacks_costs_no_attempt(error: Exception) -> None:
    bench = Bench(does=raising(error))
    put(bench, attempts_max=1)
    for _ in range(5):
        bench.passes(10)
    assert bench.later.dead("t", limit=10) == []
    assert {attempt for _, attempt in bench.begun} == {1}


def test_what_is_hopeless_is_not_tried_again_and_bugs_show_no_more_than_their_kind() -> None:
    bench = Bench(does=raising(Hopeless("this address is not allowed")))
    put(bench)
    bench.worker.step()
    bench.does = raising(KeyError("secret of somebody"))
    put(bench, "two", attempts_max=1)
    bench.worker.step()
    assert {row.name: row.error for row in bench.later.dead("t", limit=10)} == {
        "one": "this address is not allowed",
        "two": "KeyError",
    }


def test_a_job_over_which_pods_died_is_a_dead_letter_in_the_end() -> None:
    bench = Bench()
    put(bench, attempts_max=2)
    for _ in range(2):
        bench.later.take({"mail": 1}, holder="dying pod", lease_s=20)
        bench.later.time_s += 21
    bench.worker.step()
    assert bench.begun == []
    [row] = bench.later.dead("t", limit=10)
    assert row.error == "the pods that began it were lost"


def test_a_pod_carries_out_a_bounded_number_and_keeps_their_leases_while_it_does() -> None:
    bench = Bench(waits=True)
    for number in range(limits.LATER_RUNNING_MAX + 3):
        put(bench, f"job-{number}")
    bench.worker.step()
    bench.worker.step()
    assert bench.worker.running == len(bench.tasks) == limits.LATER_RUNNING_MAX
    for _ in range(10):
        bench.passes(limits.LATER_LEASE_S / 2)
    others = bench.later.take({"mail": 99}, holder="other", lease_s=600)
    assert len(others) == 3  # the leases of this pod's own have not ended
    for task in bench.tasks:
        task()
    assert bench.worker.running == 0
    assert bench.ended == [("mail", "done")] * limits.LATER_RUNNING_MAX


def test_a_handler_that_hangs_loses_its_lease() -> None:
    bench = Bench(waits=True)
    put(bench)
    bench.worker.step()
    for _ in range(100):
        bench.passes(limits.LATER_RUN_S_MAX / 50)
    assert len(bench.tasks) > 1


def test_a_pod_that_leaves_begins_nothing_and_ends_what_it_has() -> None:
    bench = Bench(waits=True)
    put(bench)
    bench.worker.step()
    bench.leaving = True
    put(bench, "two")
    assert bench.worker.step() == 0
    bench.tasks[0]()
    assert bench.worker.running == 0
    bench.worker.run()  # returns: nothing is left
    assert [row.name for row in bench.later.waiting("t", limit=10)] == ["two"]


def test_where_the_store_is_away_at_the_end_the_job_is_begun_once_more() -> None:
    bench = Bench()

    def goes_away(job: LaterJob) -> None:
        bench.later.away = True

    bench.does = goes_away
    put(bench)
    bench.worker.step()
    assert bench.ended == [("mail", "lost")]
    bench.later.away, bench.does = False, lambda job: None
    bench.passes(limits.LATER_LEASE_S)
    assert bench.begun == [("one", 1), ("one", 2)]


def test_many_pods_look_together_as_often_as_a_few_and_each_in_time_for_its_leases() -> None:
    pod = Bench()
    for pods, period_s in ((1, 0.5), (8, 0.5), (16, 1.0), (1_000, limits.LATER_LEASE_S / 6)):
        pod.pods = pods
        assert pod.worker.period_s == pytest.approx(period_s)
    # The longest pause behind a look that came just before a renewal was due.
    longest_s = pod.worker.period_s * 1.5 + limits.LATER_LEASE_S / 3
    assert longest_s < limits.LATER_LEASE_S * 0.75
