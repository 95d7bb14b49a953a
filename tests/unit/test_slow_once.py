"""What may act twice is called once behind its turn, whatever becomes of the job that calls it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from kotaemon_node.domain.errors import Overloaded, StoreUnavailable
from kotaemon_node.engine.later import LaterWorker
from kotaemon_node.ports.later import SLOW_CALL, LaterJob
from tests.calls import Calls, Writer
from tests.unit.test_slow_tools import handlers

NOBODY_KNOWS = "could not find out whether this went through"


class Inline:
    """Tasks that are over as soon as they begin."""

    def spawn(self, name: str, work: Callable[[], None]) -> None:
        work()


class Ids:
    """Ids that a test can foretell."""

    def __init__(self) -> None:
        self._number = 0

    def new_id(self) -> str:
        self._number += 1
        return f"id{self._number}"


class Telling:
    """A queue that does not take follow-ups, as often as it is told."""

    def __init__(self, calls: Calls, error: Exception, times: int) -> None:
        self._put, self._error, self.times = calls.later.put, error, times
        calls.follow_ups._later = self  # type: ignore[assignment]

    def put(self, job: LaterJob) -> bool:
        if self.times > 0:
            self.times -= 1
            raise self._error
        return self._put(job)


def slow_calls() -> tuple[Calls, LaterWorker]:
    """Return a turn whose call goes on behind it, and the pod that makes it."""
    calls = Calls()
    calls.tools.add("act", lambda *_: "ok", "once", slow=True)
    calls.run(Writer(), ("act", {}))
    worker = LaterWorker(
        calls.later,
        handlers={SLOW_CALL: handlers(calls).slow},
        clock=calls.clock,
        ids=Ids(),
        tasks=Inline(),
        draining=lambda: False,
        jitter=lambda: 0.5,
    )
    return calls, worker


def steps(calls: Calls, worker: LaterWorker, number: int) -> None:
    for _ in range(number):
        worker.step()
        calls.clock.sleep(2_000)


def test_a_store_that_fails_briefly_after_the_call_is_told_its_result_all_the_same() -> None:
    calls, worker = slow_calls()
    Telling(calls, StoreUnavailable("a failover"), times=3)
    steps(calls, worker, 1)
    assert len(calls.tools.called) == 1
    assert calls.told() == ["It is finished: act\n\nok"]


@pytest.mark.parametrize("error", [StoreUnavailable("away"), Overloaded("it is full")])
def test_a_result_that_could_not_be_told_does_not_have_the_call_made_again(
    error: Exception,
) -> None:
    calls, worker = slow_calls()
    telling = Telling(calls, error, times=10_000)
    steps(calls, worker, 2)
    telling.times = 0
    steps(calls, worker, 2)
    assert len(calls.tools.called) == 1
    (told,) = calls.told()
    assert NOBODY_KNOWS in told


def test_a_dead_letter_that_is_tried_again_does_not_call_again() -> None:
    calls, worker = slow_calls()
    telling = Telling(calls, Overloaded("it is full"), times=10_000)
    steps(calls, worker, 12)
    (letter,) = calls.later.dead("default", limit=9)
    telling.times = 0
    calls.later.retry("default", letter.name)
    steps(calls, worker, 1)
    assert len(calls.tools.called) == 1
    assert NOBODY_KNOWS in calls.told()[0]


def test_what_is_looked_up_is_proved_also_when_the_store_fails_briefly() -> None:
    calls, _ = slow_calls()
    calls.tools.add("act", lambda *_: "ok", "once", slow=True, looks_up=True)
    (job,) = calls.jobs(SLOW_CALL)
    put, failures = calls.later.put, iter([StoreUnavailable("a failover")])

    def flaky(one: LaterJob) -> bool:
        for failure in failures:
            raise failure
        return put(one)

    calls.later.put = flaky  # type: ignore[method-assign]
    job = replace(job, fields={**job.fields, "looks_up": True}, attempt=1, begun=2)
    handlers(calls).slow(job)
    assert [it.id for it in calls.jobs("reconcile")] == [f"reconcile:{job.fields['key']}:slow"]
    assert not calls.tools.called
