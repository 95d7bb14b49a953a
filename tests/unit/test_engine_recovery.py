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
    orphan = Orphan(KEY, age_s, state, owner, committed, blocked=False)
    assert judge(orphan, alive=ALIVE, mine="me", executing=executing) is verdict


@pytest.mark.parametrize("age_s", [YOUNG, OLD])
@pytest.mark.parametrize(("blocked", "verdict"), [(True, Verdict.LEAVE), (False, Verdict.TAKE)])
def test_a_waiting_turn_is_taken_as_soon_as_nothing_runs_before_it(
    age_s: float, blocked: bool, verdict: Verdict
) -> None:
    orphan = Orphan(KEY, age_s, "queued", "", committed=False, blocked=blocked)
    assert judge(orphan, alive=ALIVE, mine="me", executing=False) is verdict


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
    assert not recovery.may_judge()
    assert recovery.sweep() == 0

    def beat_for(duration_s: float) -> None:
        for _ in range(round(duration_s / limits.POD_HEARTBEAT_S)):
            clock.at_s += limits.POD_HEARTBEAT_S
            recovery.store_answered()

    recovery.store_answered()
    beat_for(2 * limits.POD_TTL_S - limits.POD_HEARTBEAT_S)
    assert not recovery.may_judge()
    beat_for(limits.POD_HEARTBEAT_S)
    assert recovery.may_judge()

    recovery.store_silent()
    recovery.store_answered()
    assert not recovery.may_judge()
    beat_for(2 * limits.POD_TTL_S)
    assert recovery.may_judge()

    # A pause in which nothing failed, because a call simply took so long, is a gap too.
    clock.at_s += limits.POD_TTL_S + 0.1
    assert not recovery.may_judge()
    recovery.store_answered()
    assert not recovery.may_judge()
