"""The split of sessions between two arms: even, stable, and moved only as far as it must."""

from hypothesis import given
from hypothesis import strategies as st

from kotaemon_node.domain.experiment import Arm, LiveExperiment, place_of

NAMES = st.from_regex(r"[A-Za-z0-9_.-]{1,64}", fullmatch=True)
SESSIONS = st.from_regex(r"[A-Za-z0-9_.-]{1,128}", fullmatch=True)
SHARES = st.floats(0, 1)


def arm(name: str, share: float, session: str) -> str:
    return LiveExperiment(name, share, Arm(), Arm()).arm_of(session)


@given(NAMES, SESSIONS, SHARES, SHARES)
def test_another_share_moves_only_the_sessions_between_both(
    name: str, session: str, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    moved = arm(name, low, session) != arm(name, high, session)
    assert moved == (low <= place_of(name, session) < high)
    if moved:
        assert arm(name, high, session) == "b"


@given(NAMES, SESSIONS)
def test_no_share_and_all_of_it_mean_what_they_say(name: str, session: str) -> None:
    assert arm(name, 0.0, session) == "a"
    assert arm(name, 1.0, session) == "b"


def test_the_arm_of_a_session_never_changes() -> None:
    # Another number would move sessions from arm to arm with an upgrade.
    assert place_of("wide", "s1") == 0.19855194154219818
    assert place_of("narrow", "s1") != place_of("wide", "s1")


def test_sessions_are_spread_evenly_and_otherwise_by_each_experiment() -> None:
    sessions = [f"{number:x}" for number in range(20_000)]
    tenths = [0] * 10
    both = 0
    for session in sessions:
        tenths[int(10 * place_of("wide", session))] += 1
        both += arm("wide", 0.5, session) == arm("narrow", 0.5, session)
    # Chi-square of ten cells: 27.9 is passed by one fair spread in a thousand.
    assert sum((count - 2_000) ** 2 / 2_000 for count in tenths) < 27.9
    assert abs(both - 10_000) < 300  # four standard deviations
