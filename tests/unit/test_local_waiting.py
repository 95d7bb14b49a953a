"""A process that keeps dying is told from one that takes its time."""

from kotaemon_node.local.supervisor import ProcessInfo
from kotaemon_node.local.waiting import POLL_LATER_S, POLL_S, START_S, Advance, Deaths


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


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_large_folder_is_read_for_as_long_as_it_takes() -> None:
    clock = Clock()
    advance = Advance(clock)
    for passages in range(500, 5_000, 500):
        clock.now_s += START_S * 0.9
        assert advance.read(f"{passages} passages")
        assert not advance.stuck
    assert not advance.read("4500 passages")
    clock.now_s += START_S * 1.1
    assert advance.stuck


def test_a_start_without_any_sign_of_life_is_stuck() -> None:
    clock = Clock()
    advance = Advance(clock)
    clock.now_s += START_S * 0.9
    assert not advance.read("")
    clock.now_s += START_S * 0.2
    assert advance.stuck


def test_what_takes_long_is_looked_at_less_often() -> None:
    clock = Clock()
    advance = Advance(clock)
    assert advance.pause_s == POLL_S
    clock.now_s += 60
    assert advance.pause_s == POLL_LATER_S
