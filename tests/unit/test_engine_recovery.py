"""What the sweep decides about an entry of the index of running turns."""

import pytest

from kotaemon_node.domain import limits
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.engine.recovery import Recovery, Verdict, judge
from kotaemon_node.ports.sessions import Orphan

KEY = TurnKey(SessionKey("default", "s"), "t")
YOUNG, OLD = limits.RUNNING_ENTRY_YOUNG_S / 2, limits.RUNNING_ENTRY_YOUNG_S * 2
ALIVE = frozenset({"me", "other"})


@pytest.mark.parametrize(
    ("age_s", "state", "owner", "committed", "executing", "verdict"),
    [
        (YOUNG, "", "", True, False, Verdict.LEAVE),
        (OLD, "", "", True, False, Verdict.RESEND),
        (YOUNG, "", "", False, False, Verdict.LEAVE),
        (OLD, "", "", False, False, Verdict.FORGET),
        (YOUNG, "queued", "", False, False, Verdict.LEAVE),
        (OLD, "queued", "", False, False, Verdict.TAKE),
        (YOUNG, "running", "other", False, False, Verdict.LEAVE),
        (OLD, "running", "other", False, False, Verdict.LEAVE),
        (YOUNG, "running", "dead", False, False, Verdict.TAKE),
        (OLD, "running", "dead", False, False, Verdict.TAKE),
        (OLD, "running", "me", False, True, Verdict.LEAVE),
        (YOUNG, "running", "me", False, False, Verdict.LEAVE),
        (OLD, "running", "me", False, False, Verdict.TAKE),
    ],
)
def test_verdicts(
    age_s: float, state: str, owner: str, committed: bool, executing: bool, verdict: Verdict
) -> None:
    orphan = Orphan(KEY, age_s, state, owner, committed)
    assert judge(orphan, alive=ALIVE, mine="me", executing=executing) is verdict


class StoppedClock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.at_s = 100.0

    def now_s(self) -> float:
        return self.at_s

    def monotonic_s(self) -> float:
        return self.at_s

    def sleep(self, duration_s: float) -> None:
        self.at_s += duration_s


def test_nobody_is_judged_until_the_store_answered_for_twice_a_heartbeats_life() -> None:
    clock = StoppedClock()
    recovery = Recovery(
        owner="me",
        sessions=None,  # type: ignore[arg-type]
        presence=None,  # type: ignore[arg-type]
        engine=None,  # type: ignore[arg-type]
        clock=clock,
        draining=lambda: False,
    )
    assert not recovery.may_judge
    assert recovery.sweep() == 0

    recovery.store_answered()
    clock.at_s += 2 * limits.POD_TTL_S - 0.01
    recovery.store_answered()
    assert not recovery.may_judge
    clock.at_s += 0.01
    assert recovery.may_judge

    recovery.store_silent()
    recovery.store_answered()
    assert not recovery.may_judge
