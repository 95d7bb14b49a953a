"""Group commit: one flush in flight, everything that waits goes with the next one."""

import threading
from collections.abc import Sequence

import pytest

from kotaemon_node.domain.errors import Fenced, StoreUnavailable
from kotaemon_node.domain.frames import FrameBody
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.engine.group_commit import GroupCommit
from kotaemon_node.ports.sessions import FrameBatch, Lease


def batch(turn_id: str) -> FrameBatch:
    lease = Lease(TurnKey(SessionKey("default", "s"), turn_id), "e", 1, "me", "trace")
    return FrameBatch(lease, 1, (FrameBody("text", {"content": turn_id}),))


class GatedLog:
    """A frame log whose round trips end when the test lets them."""

    def __init__(self) -> None:
        self.flushes: list[list[str]] = []
        self.begun = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)
        self.in_flight = 0
        self.errors: dict[str, Exception] = {}

    def append(self, batches: Sequence[FrameBatch]) -> Sequence[Exception | None]:
        self.in_flight += 1
        assert self.in_flight == 1
        names = [b.lease.key.turn_id for b in batches]
        self.flushes.append(names)
        self.begun.release()
        assert self.gate.acquire(timeout=60)
        self.in_flight -= 1
        if "broken" in names:
            raise StoreUnavailable("away")
        return [self.errors.get(name) for name in names]


def in_thread(commit: GroupCommit, name: str, failures: dict[str, Exception]) -> threading.Thread:
    def run() -> None:
        try:
            commit.append(batch(name))
        except Exception as error:  # noqa: BLE001 - the test looks at it
            failures[name] = error

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def wait_until_lined_up(commit: GroupCommit, count: int) -> None:
    pause = threading.Event()
    for _ in range(6_000):
        if len(commit._waiting) == count:
            return
        pause.wait(0.01)
    raise AssertionError(commit._waiting)


def test_what_waits_during_a_flush_goes_together_with_the_next() -> None:
    log = GatedLog()
    commit = GroupCommit(log)  # type: ignore[arg-type]
    failures: dict[str, Exception] = {}
    log.errors["c"] = Fenced("another owner")

    first = in_thread(commit, "a", failures)
    assert log.begun.acquire(timeout=60)
    others = []
    for place, name in enumerate("bcd", start=1):
        others.append(in_thread(commit, name, failures))
        wait_until_lined_up(commit, place)
    log.gate.release(2)
    for thread in [first, *others]:
        thread.join(60)

    assert log.flushes == [["a"], ["b", "c", "d"]]
    assert set(failures) == {"c"}
    assert isinstance(failures["c"], Fenced)


def test_a_flush_that_fails_fails_for_all_in_it_and_the_next_one_goes_on() -> None:
    log = GatedLog()
    commit = GroupCommit(log)  # type: ignore[arg-type]
    log.gate.release(2)
    with pytest.raises(StoreUnavailable):
        commit.append(batch("broken"))
    commit.append(batch("well"))
    assert log.flushes == [["broken"], ["well"]]


def test_many_threads_all_get_through() -> None:
    log = GatedLog()
    log.gate.release(10_000)
    commit = GroupCommit(log)  # type: ignore[arg-type]
    failures: dict[str, Exception] = {}
    threads = [in_thread(commit, f"t{number}", failures) for number in range(200)]
    for thread in threads:
        thread.join(60)
    assert not failures
    assert sorted(name for flush in log.flushes for name in flush) == sorted(
        f"t{number}" for number in range(200)
    )
