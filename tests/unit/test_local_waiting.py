"""A process that keeps dying is told from one that takes its time."""

from kotaemon_node.local.supervisor import ProcessInfo
from kotaemon_node.local.waiting import Deaths


def _info(state: str, pid: int) -> ProcessInfo:
    return ProcessInfo(name="worker-0", state=state, pid=pid, exit_status=0)


def test_a_process_that_lives_never_died() -> None:
    deaths = Deaths()

    counts = [deaths.saw(_info("RUNNING", 7)) for _ in range(5)]

    assert counts == [0] * 5


def test_each_new_pid_is_a_death_of_the_old_one() -> None:
    deaths = Deaths()

    counts = [deaths.saw(_info("STARTING", pid)) for pid in (7, 8, 8, 9)]

    assert counts == [0, 1, 1, 2]


def test_a_death_between_two_starts_counts_once() -> None:
    deaths = Deaths()
    story = [("STARTING", 7), ("BACKOFF", 0), ("BACKOFF", 0), ("STARTING", 8), ("EXITED", 0)]

    counts = [deaths.saw(_info(state, pid)) for state, pid in story]

    assert counts == [0, 1, 1, 1, 2]
