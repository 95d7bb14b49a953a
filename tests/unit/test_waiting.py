"""Waiting, with one task that keeps the time of all."""

import threading
import time
from collections.abc import Callable

import pytest

from kotaemon_node.adapters.system import SystemClock, ThreadTasks
from kotaemon_node.engine.waiting import SharedTime, Waiter

PATIENCE_S = 60.0
FOR_EVER_S = 3_600.0
SHORT_S = 0.1


class CountedTasks(ThreadTasks):
    """Tasks that are counted."""

    def __init__(self) -> None:
        super().__init__(native_threads=1)
        self.begun = 0

    def spawn(self, name: str, work: Callable[[], None]) -> None:
        self.begun += 1
        super().spawn(name, work)


@pytest.fixture
def tasks() -> CountedTasks:
    return CountedTasks()


@pytest.fixture
def shared(tasks: CountedTasks) -> SharedTime:
    return SharedTime(clock=SystemClock(), tasks=tasks)


def waits(waiter: Waiter, *timeouts_s: float) -> threading.Event:
    """Wait on a thread of its own, once for each; returns what is set behind the last."""
    gone_on = threading.Event()

    def run() -> None:
        for timeout_s in timeouts_s:
            waiter.wait(timeout_s)
        gone_on.set()

    threading.Thread(target=run, daemon=True).start()
    return gone_on


@pytest.mark.parametrize("together", [True, False])
def test_who_waits_goes_on_when_it_is_woken(shared: SharedTime, together: bool) -> None:
    waiter = Waiter(shared if together else None)
    gone_on = waits(waiter, FOR_EVER_S)
    waiter.wake()
    waiter.wake()
    assert gone_on.wait(PATIENCE_S)


@pytest.mark.parametrize("together", [True, False])
def test_who_waits_goes_on_when_its_time_is_up(shared: SharedTime, together: bool) -> None:
    began_s = time.monotonic()
    waiter = Waiter(shared if together else None)
    for _ in range(3):
        waiter.wait(SHORT_S)
    assert time.monotonic() - began_s >= 3 * SHORT_S


def test_one_task_keeps_the_time_of_all_and_ends_with_them(
    shared: SharedTime, tasks: CountedTasks
) -> None:
    # Given a hundred who wait at once
    gone_on = [waits(Waiter(shared), 5 * SHORT_S) for _ in range(100)]
    assert all(one.wait(PATIENCE_S) for one in gone_on)
    assert tasks.begun <= 2  # one may have ended before the last thread began
    # When somebody waits after all have gone on, then a task keeps time again
    assert waits(Waiter(shared), SHORT_S).wait(PATIENCE_S)


def test_who_was_woken_before_and_waits_again_has_its_whole_time(shared: SharedTime) -> None:
    # Given one who was woken long before its time was up, and now waits for long
    waiter = Waiter(shared)
    waiter.wake()
    gone_on = waits(waiter, SHORT_S, FOR_EVER_S)
    # When the first time is up, seen by one who began behind it
    assert waits(Waiter(shared), 4 * SHORT_S).wait(PATIENCE_S)
    # Then it waits on, until it is woken
    assert not gone_on.is_set()
    waiter.wake()
    assert gone_on.wait(PATIENCE_S)


def test_a_time_that_failed_is_kept_again_for_who_waits_next(tasks: CountedTasks) -> None:
    class Fails(SystemClock):
        left = 1

        def sleep(self, duration_s: float) -> None:
            if self.left:
                self.left -= 1
                raise OSError("no clock")
            super().sleep(duration_s)

    shared = SharedTime(clock=Fails(), tasks=tasks)
    waits(Waiter(shared), FOR_EVER_S)
    deadline_s = time.monotonic() + PATIENCE_S
    while shared._running:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    assert waits(Waiter(shared), SHORT_S).wait(PATIENCE_S)
