"""Figures of analytics: what was counted as shares and times, and two arms compared.

Comparisons treat turns as independent of each other. Turns of one session are not quite, so that a
difference is a little less certain than its interval says.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from kotaemon_node.domain.experiment import arms_of
from kotaemon_node.domain.limits import ANALYTICS_TOLD_MAX
from kotaemon_node.engine.counting import COST_UNIT, FIRST_TEXT_MS, TOTAL_MS
from kotaemon_node.ports.analytics import Day

Counts = Mapping[str, int]

_Z95: Final = 1.959963984540054
_LEAST: Final = 5
"""So many of either outcome make the normal approximation of a share good enough to be told."""
_TURNS_LEAST: Final = 30
"""So many make that of a mean."""


@dataclass(frozen=True, slots=True)
class Duration:
    """Seconds; ``p50`` and ``p95`` lie in the right bucket and are interpolated there."""

    mean: float
    p50: float
    p95: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What was counted. ``answered`` and ``unanswered`` are turns that ended as ``done``."""

    turns: int
    sessions: int
    done: int
    failed: int
    cancelled: int
    interrupted: int
    answered: int
    unanswered: int
    degraded: int
    cached: int
    faq: int
    up: int
    down: int
    prompt_tokens: int
    completion_tokens: int
    handoffs: int
    handoff_rate: float | None
    """Handoffs for each session that was begun; None: none was."""
    with_person: int
    """Messages that a person was to answer; no turns of the bot, and counted in no other figure."""
    agent_messages: int
    cost: float
    first_text_s: Duration | None
    total_s: Duration | None


@dataclass(frozen=True, slots=True)
class DayFigures:
    """One day, UTC."""

    day: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class ProfileFigures:
    """One arm of an experiment, or ``default``."""

    profile: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class Difference:
    """``b`` minus ``a`` with its 95 % interval; ``p_value`` of the two-sided test that it is 0.

    The three are null where too little was counted.
    """

    measure: str
    a: float
    b: float
    difference: float
    low: float | None
    high: float | None
    p_value: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The arms of one experiment."""

    experiment: str
    turns_a: int
    turns_b: int
    differences: Sequence[Difference]


@dataclass(frozen=True, slots=True)
class Question:
    """A question as it is counted, and how often."""

    question: str
    turns: int


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of some days."""

    totals: Figures
    days: Sequence[DayFigures]
    profiles: Sequence[ProfileFigures]
    comparisons: Sequence[Comparison]
    top_questions: Sequence[Question]
    unanswered_questions: Sequence[Question]


# measure → (name of the part, names that the whole is the sum of)
_SHARES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "answered_share": ("answered", ("answered", "unanswered")),
    "liked_share": ("up", ("up", "down")),
    "failed_share": ("failed", ("turns",)),
    "degraded_share": ("degraded", ("turns",)),
    "cached_share": ("cached", ("turns",)),
}
_MEANS: Final = {"first_text_s": "first_text", "total_s": "total"}


def report_of(days: Sequence[Day], *, experiment: str = "") -> Report:
    """Return the figures of ``days``; those of one ``experiment`` where it is named.

    Questions are counted apart from experiments, and are always those of all.
    """
    by_profile: dict[str, Counter[str]] = {}
    by_day: list[tuple[date, Counter[str]]] = []
    for day in days:
        whole = Counter[str]()
        for profile, counts in day.counts.items():
            if experiment and arms_of(profile)[0] != experiment:
                continue
            by_profile.setdefault(profile, Counter()).update(counts)
            whole.update(counts)
        by_day.append((day.day, whole))
    totals = Counter[str]()
    for counted in by_profile.values():
        totals.update(counted)
    return Report(
        totals=figures_of(totals),
        days=[DayFigures(day.isoformat(), figures_of(counted)) for day, counted in by_day],
        profiles=[
            ProfileFigures(name, figures_of(counted))
            for name, counted in sorted(by_profile.items())
        ],
        comparisons=_comparisons(by_profile),
        top_questions=_questions(day.asked for day in days),
        unanswered_questions=_questions(day.unanswered for day in days),
    )


def figures_of(counts: Counts) -> Figures:
    """Return what was counted as figures."""
    plain = {
        name: counts.get(name, 0)
        for name in Figures.__slots__
        if name not in {"cost", "first_text_s", "total_s", "handoff_rate"}
    }
    sessions = plain["sessions"]
    return Figures(
        **plain,
        handoff_rate=round(plain["handoffs"] / sessions, 6) if sessions else None,
        cost=counts.get("cost", 0) / COST_UNIT,
        first_text_s=_duration(counts, "first_text", FIRST_TEXT_MS),
        total_s=_duration(counts, "total", TOTAL_MS),
    )


def _duration(counts: Counts, name: str, ends_ms: Sequence[int]) -> Duration | None:
    number = counts.get(f"{name}_n", 0)
    if number <= 0:
        return None
    buckets = [counts.get(f"{name}_le_{end}", 0) for end in (*ends_ms, "inf")]
    return Duration(
        mean=round(counts[f"{name}_ms"] / number / 1000, 4),
        p50=round(_quantile(0.5, buckets, ends_ms) / 1000, 4),
        p95=round(_quantile(0.95, buckets, ends_ms) / 1000, 4),
    )


def _quantile(share: float, buckets: Sequence[int], ends_ms: Sequence[int]) -> float:
    """Return a quantile (ms); what lies above the last end is told as that end."""
    wanted, before, start = share * sum(buckets), 0, 0
    for count, end in zip(buckets, ends_ms, strict=False):
        if count and before + count >= wanted:
            return start + (end - start) * (wanted - before) / count
        before, start = before + count, end
    return float(ends_ms[-1])


def _comparisons(by_profile: Mapping[str, Counts]) -> list[Comparison]:
    names = sorted({arms_of(profile)[0] for profile in by_profile} - {""})
    nothing: Counts = {}
    return [
        compared(name, by_profile.get(f"{name}/a", nothing), by_profile.get(f"{name}/b", nothing))
        for name in names
    ]


def compared(experiment: str, a: Counts, b: Counts) -> Comparison:
    """Compare two arms by what was counted of each."""
    shares = [_share(measure, a, b, *of) for measure, of in _SHARES.items()]
    means = [_mean(measure, a, b, name) for measure, name in _MEANS.items()]
    return Comparison(
        experiment=experiment,
        turns_a=a.get("turns", 0),
        turns_b=b.get("turns", 0),
        differences=[one for one in (*shares, *means) if one is not None],
    )


def _share(
    measure: str, a: Counts, b: Counts, part: str, whole: tuple[str, ...]
) -> Difference | None:
    """Compare two shares: z-test with the pooled share, interval with each arm's own."""
    # Less than nothing: a rating was changed whose first count was lost.
    of_a, of_b = (sum(max(0, arm.get(name, 0)) for name in whole) for arm in (a, b))
    if of_a == 0 or of_b == 0:
        return None
    in_a, in_b = (max(0, arm.get(part, 0)) for arm in (a, b))
    share_a, share_b = in_a / of_a, in_b / of_b
    pooled = (in_a + in_b) / (of_a + of_b)
    expected = min(pooled, 1 - pooled) * min(of_a, of_b)
    spread = math.sqrt(share_a * (1 - share_a) / of_a + share_b * (1 - share_b) / of_b)
    error = math.sqrt(pooled * (1 - pooled) * (1 / of_a + 1 / of_b))
    if expected < _LEAST:
        return _difference(measure, share_a, share_b, spread=None, error=None)
    return _difference(measure, share_a, share_b, spread=spread, error=error)


def _mean(measure: str, a: Counts, b: Counts, name: str) -> Difference | None:
    """Compare two mean times (s): Welch's test, of so many turns that it is a z-test."""
    if min(a.get(f"{name}_n", 0), b.get(f"{name}_n", 0)) <= 0:
        return None
    (mean_a, error_a), (mean_b, error_b) = (_mean_and_error(arm, name) for arm in (a, b))
    error = None if error_a is None or error_b is None else math.hypot(error_a, error_b)
    return _difference(measure, mean_a, mean_b, spread=error, error=error)


def _mean_and_error(counts: Counts, name: str) -> tuple[float, float | None]:
    """Return a mean (s) and its standard error; None of too few turns."""
    number = counts[f"{name}_n"]
    mean_ms = counts[f"{name}_ms"] / number
    if number < _TURNS_LEAST:
        return mean_ms / 1000, None
    variance = max(0.0, counts[f"{name}_ms2"] / number - mean_ms**2) * number / (number - 1)
    return mean_ms / 1000, math.sqrt(variance / number) / 1000


def _difference(
    measure: str, a: float, b: float, *, spread: float | None, error: float | None
) -> Difference:
    """``spread`` makes the interval, ``error`` the test; None: too little was counted."""
    difference = b - a
    low = high = p_value = None
    if spread is not None and error is not None:
        low, high = difference - _Z95 * spread, difference + _Z95 * spread
        if error > 0:
            p_value = math.erfc(abs(difference) / error / math.sqrt(2))
        else:
            p_value = 1.0 if difference == 0 else 0.0
    return Difference(
        measure,
        a=round(a, 6),
        b=round(b, 6),
        difference=round(difference, 6),
        low=_rounded(low),
        high=_rounded(high),
        p_value=_rounded(p_value),
    )


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 6)


def _questions(days: Iterable[Mapping[str, int]]) -> list[Question]:
    asked = Counter[str]()
    for day in days:
        asked.update(day)
    ranked = sorted(asked.items(), key=lambda one: (-one[1], one[0]))
    return [Question(question, turns) for question, turns in ranked[:ANALYTICS_TOLD_MAX]]
