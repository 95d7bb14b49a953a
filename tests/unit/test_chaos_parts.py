"""The parts of the failover proof that decide: schedule, phases of a turn, thresholds, clocks."""

import itertools
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kotaemon_node.chaos.faults import FAULTS, Fault, served_again
from kotaemon_node.chaos.phases import PHASES, phase_of
from kotaemon_node.chaos.promises import promises
from kotaemon_node.chaos.report import right
from kotaemon_node.chaos.run import Run, _Disturbance
from kotaemon_node.chaos.schedule import ROUND_S, order
from kotaemon_node.chaos.store import (
    CLAIMED,
    COMMITTED,
    TEXT_STORED,
    TOOL_BEGUN,
    StoredTurn,
)
from kotaemon_node.chaos.target import NotInTime
from kotaemon_node.local.errors import LocalError
from load.chaos.faults import names, usual

CLOCK = Path(__file__).resolve().parents[2] / "load" / "chaos" / "clock"


# --- a run that is interrupted -----------------------------------------------------------------


class _StoppedTarget:
    stopped = True

    def wait_ready(self, *, timeout_s: float) -> float:
        raise LocalError("no cluster is running")


def test_a_run_on_a_cluster_that_somebody_stops_ends_and_judges_nothing() -> None:
    def does(strikes: Any, chance: random.Random) -> dict[str, Any]:
        raise LocalError("no cluster is running")

    strikes: Any = SimpleNamespace(
        target=_StoppedTarget(), amid="", hits=[], writers=SimpleNamespace(talks=[])
    )
    faults = [Fault("kill_worker", "1", does), Fault("kill_balancer", "6", does)]
    found = Run(seed=1, clients=1, began_s=time.monotonic())

    with pytest.raises(LocalError, match="was stopped meanwhile"):
        _Disturbance(found, strikes, faults, lambda _: None).go(3600)


def test_a_store_that_does_not_come_back_is_told_and_not_measured() -> None:
    def restart() -> None:
        raise NotInTime("Redis answers")

    strikes: Any = SimpleNamespace(writers=SimpleNamespace(probe=lambda _: 1.0))

    with pytest.raises(NotInTime):
        served_again(strikes, restart, random.Random(1))


# --- schedule -----------------------------------------------------------------------------------


def _first_round(seed: int, seconds: float) -> list[tuple[str, float]]:
    steps = order(seed, list(FAULTS.values()), seconds=seconds)
    return [(step.fault.name, step.due_s) for step in itertools.islice(steps, len(FAULTS) - 1)]


def test_the_order_of_faults_follows_from_the_seed() -> None:
    assert _first_round(1, 600) == _first_round(1, 600) != _first_round(2, 600)


@pytest.mark.parametrize("seconds", [45, 600, 3600])
def test_each_fault_is_due_in_the_first_round_with_kills_before_and_between(seconds: float) -> None:
    found = _first_round(1, seconds)

    assert {name for name, _ in found} == set(FAULTS) - {"kill_worker"}
    dues = [due_s for _, due_s in found]
    gaps = {round(b - a, 6) for a, b in itertools.pairwise(dues)}
    assert dues[0] > 0
    assert len(gaps) == 1
    assert dues[-1] < min(seconds, ROUND_S)


def test_without_kills_one_fault_follows_the_other() -> None:
    faults = [FAULTS["freeze_worker"], FAULTS["kill_balancer"]]
    dues = [step.due_s for step in itertools.islice(order(1, faults, seconds=60), 5)]
    assert dues == [0.0] * 5


def test_each_kind_of_store_has_its_own_faults() -> None:
    assert "kill_redis" in names("single")
    assert "fail_over" in names("sentinel")
    assert "move_slots" in names("cluster")
    assert "kill_redis" not in names("sentinel")
    assert "wipe_redis" in names("single")
    assert "wipe_redis" not in usual("single")


# --- phases -------------------------------------------------------------------------------------

FRAMES: list[dict[str, Any]] = [
    {"type": "status", "seq": 1, "phase": "generating"},
    {"type": "tool_call", "seq": 2, "state": "started"},
    {"type": "tool_call", "seq": 3, "state": "done"},
    {"type": "text", "seq": 4, "content": "one "},
    {"type": "text", "seq": 5, "content": "two"},
    {"type": "done", "seq": 6, "answer": "one two"},
]


@pytest.mark.parametrize(
    ("last_seq", "phase"),
    [
        (0, "before_text"),
        (1, "before_text"),
        (2, "tool_call"),
        (3, "before_text"),
        (4, "within_text"),
        (5, "text_to_commit"),
    ],
)
def test_what_was_stored_tells_the_phase(last_seq: int, phase: str) -> None:
    stored = StoredTurn("running", "worker-1.x", 1, last_seq, indexed=True)
    assert phase_of(stored, FRAMES, answer="one two") == phase


def test_a_committed_turn_waits_for_its_event_and_a_restart_voids_text() -> None:
    committed = StoredTurn("committed", "", 1, 6, indexed=True)
    assert phase_of(committed, FRAMES, answer="one two") == "commit_to_event"
    restarted = [*FRAMES[:5], {"type": "restart", "seq": 6}]
    stored = StoredTurn("running", "worker-1.x", 1, 6, indexed=True)
    assert phase_of(stored, restarted, answer="one two") == "before_text"


def test_lines_of_monitor_tell_who_did_what() -> None:
    # As redis-server 7 prints them.
    at = b"1700000000.123456 [0 lua] "
    claimed = CLAIMED.search(
        at
        + b'"HSET" "kn:default:{w1-2}:turn:t-9" "state" "running" "owner" "worker-1.ab12" "fence"'
    )
    assert claimed
    assert claimed.group("session", "owner") == (b"w1-2", b"worker-1")
    text = TEXT_STORED.search(at + b'"XADD" "kn:default:{w1-2}:f0a1b2" "7-0" "12" "a \\"word\\""')
    assert text
    assert text.group("session") == b"w1-2"
    line = at + b'"XADD" "kn:default:{w1-2}:f0a1b2" "3-0" "tool_call" "{\\"state\\":\\"started\\"}"'
    assert TOOL_BEGUN.search(line)
    assert not TEXT_STORED.search(line)
    committed = COMMITTED.search(
        at + b'"RPUSH" "kn:default:{w1-2}:turns" "{\\"id\\":\\"t\\",\\"owner\\":\\"worker-2.x\\"}"'
    )
    assert committed
    assert committed.group("session", "owner") == (b"w1-2", b"worker-2")


# --- thresholds ---------------------------------------------------------------------------------


def _figures(**fault: Any) -> dict[str, Any]:
    row = {
        "done": {},
        "tries_failed": 0,
        "streams_cut": 0,
        "first_try_errors": 0,
        "turns_begun_meanwhile": 300,
        "resumed_s": {"n": 0},
        **fault,
    }
    return {
        "violations": [],
        "failures": [],
        "reader_problems": [],
        "phases": list(PHASES),
        "readers": {"gone": 0},
        "kills": {
            "turns_hit": 5,
            "strikes": 3,
            "by_phase": dict.fromkeys(PHASES, 1),
            "first_text_ms": {},
        },
        "faults": [row],
    }


def _right(found: dict[str, Any]) -> bool:
    return right({**found, "promises": [one.as_json() for one in promises(found)]})


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("restart_rolling", {"tries_failed": 0}, {"tries_failed": 1}),
        ("kill_in_series", {"first_try_errors": 1}, {"first_try_errors": 2}),
        (
            "kill_all_workers",
            {"done": {"beyond_start_s": 2.0}},
            {"done": {"beyond_start_s": 2.1}},
        ),
        ("kill_redis", {"done": {"beyond_restart_s": 1.9}}, {"done": {"beyond_restart_s": 2.5}}),
        ("forget_events", {"done": {"known_s": 29.0}}, {"done": {"known_s": 40.0}}),
        ("reload_balancer", {"streams_cut": 0}, {"streams_cut": 1}),
        ("reload_balancer", {"tries_failed": 0}, {"tries_failed": 1}),
    ],
)
def test_a_threshold_that_is_broken_fails_the_run(
    name: str, good: dict[str, Any], bad: dict[str, Any]
) -> None:
    assert _right(_figures(name=name, **good))
    assert not _right(_figures(name=name, **bad))


def test_a_latency_is_told_and_does_not_fail_the_run() -> None:
    found = _figures(name="kill_worker")
    found["kills"]["first_text_ms"] = {"kill_worker": {"n": 9, "p95": 900.0}}
    [latency] = [one for one in promises(found) if one.number == "1"]
    assert not latency.met
    assert _right(found)


def test_a_run_without_a_hit_shows_nothing() -> None:
    found = _figures(name="kill_balancer")
    found["kills"]["turns_hit"] = 0
    assert not _right(found)


def test_many_kills_must_have_met_each_phase() -> None:
    found = _figures(name="kill_balancer")
    found["kills"]["by_phase"]["commit_to_event"] = 0
    assert _right(found)
    found["kills"]["strikes"] = 100
    assert not _right(found)


def test_gone_is_an_answer_only_where_the_store_lost_something() -> None:
    found = _figures(name="kill_balancer")
    found["readers"]["gone"] = 1
    assert not _right(found)
    lost = _figures(name="wipe_redis")
    lost["readers"]["gone"] = 1
    assert _right(lost)


# --- clocks -------------------------------------------------------------------------------------


def test_the_clock_of_one_pod_is_moved_while_it_runs_and_durations_are_not(tmp_path: Path) -> None:
    script = (
        "import time\n"
        "from kotaemon_node.adapters.system import SystemClock\n"
        "input()\n"
        "print(SystemClock().now_s(), time.monotonic())\n"
    )
    environment = {
        **os.environ,
        "CHAOS_CLOCKS": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(CLOCK), str(CLOCK.parents[2])]),
    }

    def told(pod: str) -> tuple[float, float]:
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**environment, "POD_NAME": pod},
            input="\n",
            capture_output=True,
            text=True,
            check=True,
        )
        wall, monotonic = done.stdout.split()
        return float(wall) - time.time(), float(monotonic) - time.monotonic()

    (tmp_path / "worker-1").write_text("-300")
    for pod, ahead_s in (("worker-0", 0), ("worker-1", -300)):
        wall_s, monotonic_s = told(pod)
        assert abs(wall_s - ahead_s) < 60
        assert abs(monotonic_s) < 60
