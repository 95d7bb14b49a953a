"""Figures of analytics, against hand-worked examples; how questions are counted."""

import math
from datetime import date

import pytest

from kotaemon_node.domain.session import SessionKey, Turn, TurnKey
from kotaemon_node.domain.turn import State
from kotaemon_node.engine.counting import normal_question, tally_of
from kotaemon_node.engine.figures import Difference, compared, figures_of, report_of
from kotaemon_node.engine.record_bounds import bounded
from kotaemon_node.ports.analytics import Day

KEY = TurnKey(SessionKey("default", "s1"), "t1")


def difference(measure: str, a: dict[str, int], b: dict[str, int]) -> Difference:
    found = compared("e", a, b).differences
    return next(one for one in found if one.measure == measure)


def test_two_shares_are_compared_as_the_textbook_does() -> None:
    # 120 of 200 and 150 of 200: pooled 0.675, z = 0.15 / sqrt(0.675 * 0.325 * 0.01) = 3.2026.
    one = difference(
        "answered_share",
        {"answered": 120, "unanswered": 80},
        {"answered": 150, "unanswered": 50},
    )

    assert (one.a, one.b, one.difference) == (0.6, 0.75, 0.15)
    assert one.p_value == pytest.approx(0.00136, abs=1e-5)
    spread = 1.959964 * math.sqrt(0.6 * 0.4 / 200 + 0.75 * 0.25 / 200)
    assert one.low == pytest.approx(0.15 - spread, abs=1e-6)
    assert one.high == pytest.approx(0.15 + spread, abs=1e-6)


def test_of_few_turns_nothing_is_claimed() -> None:
    one = difference("answered_share", {"answered": 3}, {"answered": 1, "unanswered": 2})

    assert one.difference == pytest.approx(-2 / 3, abs=1e-6)
    assert (one.low, one.high, one.p_value) == (None, None, None)
    assert compared("e", {}, {"turns": 3}).differences == []


def test_a_changed_rating_whose_first_count_was_lost_counts_as_none() -> None:
    one = difference("liked_share", {"up": 8, "down": -1}, {"up": -1, "down": 8})

    assert (one.a, one.b) == (1.0, 0.0)


def test_two_means_are_compared_by_their_spread() -> None:
    # a: 50 turns of 100 ms, 50 of 300; b: 100 of 250. Mean 0.2 and 0.25, variance 10101 ms² and 0.
    a = {"total_n": 100, "total_ms": 20_000, "total_ms2": 50 * 100**2 + 50 * 300**2}
    b = {"total_n": 100, "total_ms": 25_000, "total_ms2": 100 * 250**2}

    one = difference("total_s", a, b)

    assert (one.a, one.b, one.difference) == (0.2, 0.25, 0.05)
    error = math.sqrt(50 * 100**2 * 2 / 99 / 100) / 1000
    assert one.low == pytest.approx(0.05 - 1.959964 * error, abs=1e-6)
    assert one.p_value == pytest.approx(math.erfc(0.05 / error / math.sqrt(2)), abs=1e-6)


def test_times_come_from_sums_and_buckets() -> None:
    counts = {"total_n": 4, "total_ms": 1_000, "total_le_100": 2, "total_le_500": 2}

    found = figures_of(counts).total_s

    assert found is not None
    assert (found.mean, found.p50, found.p95) == (0.25, 0.1, 0.475)
    assert figures_of({}).total_s is None


def test_one_experiment_is_told_without_the_others() -> None:
    counts = {
        "x/a": {"turns": 2},
        "x/b": {"turns": 3},
        "y/a": {"turns": 5},
        "default": {"turns": 7},
    }
    days = [Day(date(2026, 1, 1), counts), Day(date(2026, 1, 2), {"x/a": {"turns": 1}})]

    whole, one = report_of(days), report_of(days, experiment="x")

    assert whole.totals.turns == 18
    assert [each.experiment for each in whole.comparisons] == ["x", "y"]
    assert (one.totals.turns, [day.figures.turns for day in one.days]) == (6, [5, 1])
    assert [(each.profile, each.figures.turns) for each in one.profiles] == [("x/a", 3), ("x/b", 3)]


@pytest.mark.parametrize(
    ("message", "counted"),
    [
        ("  How   LONG? ", "how long"),
        ("ＨＯＷ long！", "how long"),
        ("发货要多久？", "发货要多久"),
        ("Where is order 4711-0815-23, call +49 170 1234567", "where is order #, call #"),
        ("Write to anna@example.com", "write to @"),
        ("iPhone 15 or 16?", "iphone 15 or 16"),
        ("x" * 900, "x" * 200),
        ("???", ""),
    ],
)
def test_questions_that_differ_in_form_are_one(message: str, counted: str) -> None:
    assert normal_question(message) == counted


def test_what_a_turn_adds() -> None:
    turn = Turn(
        "t1", "How long?", State.DONE, version=1, created_at=86_400.0 * 365, degraded="x",
        usage={"prompt_tokens": 7, "completion_tokens": 3, "cost": 0.0012345, "estimated": True},
        timings={"total": 0.26, "first_text": 0.02}, profile="e/b", unanswered=True,
    )  # fmt: skip

    tally = tally_of(KEY, epoch="e1", turn=turn, with_question=False)

    assert (tally.at.date(), tally.profile, tally.question) == (date(1971, 1, 1), "e/b", "")
    assert tally.unanswered
    said = {name: number for name, number in tally.counts.items() if number}
    assert said == {
        "turns": 1, "sessions": 1, "done": 1, "unanswered": 1, "degraded": 1, "prompt_tokens": 7,
        "completion_tokens": 3, "cost": 1_234, "first_text_n": 1, "first_text_ms": 20,
        "first_text_ms2": 400, "first_text_le_25": 1, "total_n": 1, "total_ms": 260,
        "total_ms2": 67_600, "total_le_500": 1,
    }  # fmt: skip


def test_a_record_that_is_too_long_loses_the_ends_of_its_longest_texts() -> None:
    record = {"message": "short", "answer": "a" * 200_000, "steps": {"m": ["b" * 100_000, 3]}}

    cut = bounded(record)

    assert cut["message"] == "short"
    assert cut["answer"].startswith("a" * 64_000 + "… [136000 more characters]")
    assert (cut["steps"]["m"][1], cut["cut"]) == (3, True)
    assert bounded({"steps": {str(n): "x" * 50 for n in range(9_000)}})["steps"] == {}
    assert "cut" not in bounded({"answer": "a"})
