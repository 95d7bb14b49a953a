"""The results of speed as they are kept: bench.json, bench.md, raw samples, plots."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from load.bench.speed.arms import Measured, middle
from load.bench.speed.figures import Spread, shown, significant
from load.bench.speed.plots import spreads_plot

_RAW = "bench"
"""Folder of raw samples and plots beside bench.json."""

Found = Mapping[str, Mapping[str, Any]]
"""Measure to ``measured`` and how it went."""


def kept_results(around: Mapping[str, Any], found: Found) -> dict[str, Any]:
    """Return bench.json: each figure by its name, then spreads, goals and surroundings."""
    figures: dict[str, float] = {}
    spreads: dict[str, Any] = {}
    goals: dict[str, Any] = {}
    for run in found.values():
        measured: Measured = run["measured"]
        for name, value in measured.figures.items():
            figures[name] = significant(middle(value))
            if isinstance(value, Spread):
                spreads |= shown({name: value})
        for goal in measured.goals:
            value = figures[goal.figure]
            goals[goal.figure] = {goal.side: goal.bound, "is": value, "met": goal.met(value)}
    return {
        **figures,
        "goals": goals,
        "spreads": spreads,
        "measures": {
            name: {part: value for part, value in run.items() if part != "measured"}
            for name, run in found.items()
        },
        "surroundings": dict(around),
    }


def printed(results: Mapping[str, Any]) -> str:
    """Return the figures for a terminal."""
    spreads = results["spreads"]
    lines = []
    for name, value in results.items():
        if isinstance(value, float | int):
            goal = results["goals"].get(name, {})
            lines.append(f"{name:36} {value:>10.4g}  {_between(spreads, name):24} {_judged(goal)}")
    return "\n".join(lines)


def _between(spreads: Mapping[str, Any], name: str) -> str:
    found = spreads.get(name)
    return f"{found['low']:.4g} to {found['high']:.4g}" if found else ""


def _judged(goal: Mapping[str, Any]) -> str:
    if not goal:
        return ""
    (side,) = goal.keys() & {"at least", "at most"}
    return f"{'met' if goal['met'] else 'NOT MET'}: {side} {goal[side]:g}"


def write(results: Mapping[str, Any], found: Found, *, out: Path) -> None:
    """Write all of it into the folder ``out``; what was not measured now stays as it was."""
    raw = out / _RAW
    raw.mkdir(parents=True, exist_ok=True)
    for name, run in found.items():
        measured: Measured = run["measured"]
        measured.samples.keep(raw / f"{name}.jsonl")
        for figure, plot in plots(name, measured):
            (raw / f"{figure}.svg").write_text(plot, "utf-8")
    (out / "bench.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    (out / "bench.md").write_text(page(results, found), "utf-8")


def plots(name: str, measured: Measured) -> Iterator[tuple[str, str]]:
    """Yield name and SVG of what is drawn of a measure."""
    for title, figure, unit, arms in measured.drawn:
        rows = [(arm, measured.samples.spread(arm, figure)) for arm in arms]
        yield f"{name}-{figure}", spreads_plot(title, rows, unit=unit)


def page(results: Mapping[str, Any], found: Found) -> str:
    """Return bench.md."""
    around = results["surroundings"]
    lines = [
        "# Speed, side by side",
        "",
        f"Commit {around['commit']}; {around['machine']}; {around['cores']}. Made by `make bench`.",
        f"{around['rounds']} rounds of {around['seconds']:g} s an arm, in which the arms take turns"
        " in an order drawn anew. A figure is the median over the rounds; a ratio is taken within",
        "each round. *Between* is where the middle half of the rounds lies. What has *a_over_a* in"
        " its name compares an arm with itself: so much is noise.",
        "",
        "| figure | value | between | goal |",
        "|---|---|---|---|",
    ]
    for name, value in results.items():
        if isinstance(value, float | int):
            goal = _judged(results["goals"].get(name, {}))
            lines.append(
                f"| `{name}` | {value:.4g} | {_between(results['spreads'], name)} | {goal} |"
            )
    for name, run in found.items():
        lines += ["", f"## {name}", "", *_of_measure(name, run)]
    return "\n".join(lines) + "\n"


def _of_measure(name: str, run: Mapping[str, Any]) -> Iterator[str]:
    measured: Measured = run["measured"]
    yield (
        f"{run['took_s']:.0f} s; others took {run['machine_taken_by_others']:.0%} of the machine"
        f" meanwhile. Raw samples: [{name}.jsonl]({_RAW}/{name}.jsonl)."
    )
    for note in measured.notes:
        yield from ("", note)
    for title, figure, unit, arms in measured.drawn:
        yield from ("", f"![{title}]({_RAW}/{name}-{figure}.svg)", "")
        yield from (f"| {title}, {unit} | median | between | ends |", "|---|---|---|---|")
        for arm in arms:
            it = measured.samples.spread(arm, figure)
            yield (
                f"| {arm} | {it.median:.4g} | {it.low:.4g} to {it.high:.4g}"
                f" | {it.least:.4g} to {it.most:.4g} |"
            )
