"""What the sweep decides about an entry of the index of running turns."""

import pytest

from kotaemon_node.domain import limits
from kotaemon_node.domain.session import SessionKey, TurnKey
from kotaemon_node.engine.recovery import Verdict, judge
from kotaemon_node.ports.sessions import Orphan

KEY = TurnKey(SessionKey("default", "s"), "t")
YOUNG, OLD = limits.RUNNING_ENTRY_YOUNG_S / 2, limits.RUNNING_ENTRY_YOUNG_S * 2


def LOST(owner: str) -> bool:
    return owner not in {"me", "other"}


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
    assert judge(orphan, lost=LOST, believing=True, mine="me", executing=executing) is verdict


@pytest.mark.parametrize("age_s", [YOUNG, OLD])
@pytest.mark.parametrize(("blocked", "verdict"), [(True, Verdict.LEAVE), (False, Verdict.TAKE)])
def test_a_waiting_turn_is_taken_as_soon_as_nothing_runs_before_it(
    age_s: float, blocked: bool, verdict: Verdict
) -> None:
    orphan = Orphan(KEY, age_s, "queued", "", committed=False, blocked=blocked)
    assert judge(orphan, lost=LOST, believing=True, mine="me", executing=False) is verdict


@pytest.mark.parametrize("owner", ["other", "dead"])
def test_a_turn_that_stands_still_is_taken_even_from_a_pod_that_lives(owner: str) -> None:
    for silent_s, verdict in (
        (limits.STUCK_TURN_S - 0.1, Verdict.LEAVE if owner == "other" else Verdict.TAKE),
        (limits.STUCK_TURN_S, Verdict.TAKE),
    ):
        orphan = Orphan(KEY, OLD, "running", owner, False, blocked=True, silent_s=silent_s)
        assert judge(orphan, lost=LOST, believing=True, mine="me", executing=False) is verdict


def test_a_pause_of_the_store_makes_no_turn_look_stuck() -> None:
    orphan = Orphan(KEY, OLD, "running", "other", False, True, silent_s=limits.STUCK_TURN_S * 2)
    verdict = judge(orphan, lost=LOST, believing=False, mine="me", executing=False)
    assert verdict is Verdict.LEAVE
