"""Windows of text: when what comes is stored, and what shares a frame."""

import itertools

import pytest

from kotaemon_node.domain import limits
from kotaemon_node.engine.windows import TextWindows, text_window_s

MIN_S, MAX_S, GROWS_S = (
    limits.TEXT_WINDOW_MIN_S,
    limits.TEXT_WINDOW_MAX_S,
    limits.TEXT_WINDOW_GROWS_S,
)


def dues(times: list[float]) -> list[float]:
    windows = TextWindows()
    return [round(now_s + windows.rest_s(now_s), 6) for now_s in times]


def test_a_window_grows_from_the_first_text_on() -> None:
    assert text_window_s(0.0) == MIN_S
    assert text_window_s(GROWS_S / 2) == pytest.approx((MIN_S + MAX_S) / 2)
    assert text_window_s(GROWS_S) == text_window_s(10 * GROWS_S) == MAX_S


def test_the_first_text_waits_for_nothing() -> None:
    assert dues([100.0]) == [100.0]


def test_what_comes_within_a_window_is_stored_with_its_end() -> None:
    # Given words that come faster than a window, the last of them behind its end
    due_s = 100.0 + MIN_S
    found = dues([100.0, 100.001, 100.01, due_s - 0.001, due_s + 0.001])
    # Then those within it share its end, and the one behind it waits for the end of the next
    assert found[:4] == [100.0, *[round(due_s, 6)] * 3]
    assert found[4] == round(due_s + text_window_s(MIN_S), 6)


def test_what_comes_after_a_while_waits_for_nothing() -> None:
    assert dues([100.0, 105.0, 110.0]) == [100.0, 105.0, 110.0]


@pytest.mark.parametrize("late_s", [-0.001, 0.0, 0.004])
def test_who_gives_text_in_windows_is_not_held_again(late_s: float) -> None:
    # Given pieces that come at the ends of windows, as another clock tells them
    times = [100.0]
    for _ in range(30):
        times.append(times[-1] + text_window_s(times[-1] - times[0]) + late_s)
    assert dues(times) == [round(time, 6) for time in times]


def test_there_is_one_frame_a_window_however_fast_words_come() -> None:
    times = [100.0 + 0.003 * number for number in range(2_000)]
    frames = sorted(set(dues(times)))
    gaps = [after - before for before, after in itertools.pairwise(frames)]
    assert min(gaps) >= MIN_S - 1e-6
    assert max(gaps) <= MAX_S + 0.004
