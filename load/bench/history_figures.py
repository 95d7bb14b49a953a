"""Figures of turns in sessions with a short and a long history, and how they are shown."""

import random
from collections.abc import Mapping, Sequence
from statistics import median, quantiles
from typing import Any

Rounds = dict[str, list[float]]
"""Arm to the seconds of its turn in each round."""

RATIO_MAX = 1.1
SHORT, AGAIN, LONG = "10", "10 again", "1000"
_DRAWS = 1_000


def figures(took: Rounds, *, seed: int) -> dict[str, Any]:
    """Return what each arm took and the ratios of the others to ``SHORT``."""
    return {
        "rounds": len(took[SHORT]),
        "ms": {arm: _spread_ms(times) for arm, times in took.items()},
        "ratio": {arm: _ratio(took[arm], to=took[SHORT], seed=seed) for arm in (LONG, AGAIN)},
    }


def _spread_ms(times: Sequence[float]) -> Mapping[str, float]:
    low, middle, high = quantiles(times, n=4, method="inclusive")
    return {
        "median": round(middle * 1000, 3),
        "p25": round(low * 1000, 3),
        "p75": round(high * 1000, 3),
    }


def _ratio(times: Sequence[float], *, to: Sequence[float], seed: int) -> Mapping[str, float]:
    """Return the ratio of the medians, and between what 95 % of resampled runs have it.

    Rounds are drawn, not times: what disturbed a round disturbed all of its turns.
    """
    draw = random.Random(seed)
    pairs = list(zip(times, to, strict=True))
    ratios = sorted(_of_medians(draw.choices(pairs, k=len(pairs))) for _ in range(_DRAWS))
    return {
        "value": round(_of_medians(pairs), 3),
        "low": round(ratios[int(0.025 * _DRAWS)], 3),
        "high": round(ratios[int(0.975 * _DRAWS)], 3),
    }


def _of_medians(pairs: Sequence[tuple[float, float]]) -> float:
    return median(pair[0] for pair in pairs) / median(pair[1] for pair in pairs)


def within_goal(results: Mapping[str, Any]) -> bool:
    """Return whether no way to measure it shows a long history above ``RATIO_MAX``.

    First turns are too few for that and are only shown.
    """
    return all(
        row["ratio"][LONG]["value"] <= RATIO_MAX
        for name, row in results["figures"].items()
        if "first turn" not in name
    )


def report(results: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    around = results["surroundings"]
    used = ", ".join(f"{name} {count}" for name, count in results["session_cache"].items())
    lines = [
        "# What a long history costs a turn",
        "",
        "Made by `python -m load.bench.history`; what is measured stands there. Milliseconds as",
        "median (quartiles). Ratios are of medians to that of 10 turns, with the range of 95 % of",
        f"resampled runs; the goal is at most {RATIO_MAX} for 1,000 turns. The ratio of 10 to 10",
        "is what the machine cannot tell apart.",
        "",
        f"Commit {around['commit']}, {around['machine']}, Python {around['python']}; load",
        f"{around['load_before']} before, {around['load_after']} after;"
        f" {around['sessions']} sessions of each length.",
        "",
        "| | rounds | 10 turns | 10 again | 1,000 turns | 1,000 to 10 | 10 to 10 |",
        "|---|---|---|---|---|---|---|",
        *(_row(name, row) for name, row in results["figures"].items()),
        "",
        f"The worker's memory of sessions during its turns: {used}.",
    ]
    return "\n".join(lines) + "\n"


def _row(name: str, row: Mapping[str, Any]) -> str:
    times = [
        f"{one['median']} ({one['p25']}–{one['p75']})"
        for one in (row["ms"][arm] for arm in (SHORT, AGAIN, LONG))
    ]
    ratios = [
        f"{one['value']} ({one['low']}–{one['high']})"
        for one in (row["ratio"][arm] for arm in (LONG, AGAIN))
    ]
    return f"| {' | '.join([name, str(row['rounds']), *times, *ratios])} |"
