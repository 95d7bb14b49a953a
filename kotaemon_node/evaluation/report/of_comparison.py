"""The report of a comparison."""

from collections.abc import Mapping
from typing import Any, Final

from kotaemon_node.evaluation.report.pages import Page, Plot, Section, Table
from kotaemon_node.evaluation.report.plots import Bar, intervals

_SHOWN: Final = 10
_LEVEL: Final = 0.05


def page_of(found: Mapping[str, Any]) -> Page:
    """Return the report of ``comparison.compare``."""
    metrics = found["metrics"]
    bars = [Bar(name, it["difference"], it["low"], it["high"]) for name, it in metrics.items()]
    reach = max((max(abs(it.low), abs(it.high), 0.01) for it in bars), default=0.01)
    rows = [
        (
            name,
            f"{it['before']:.3f}",
            f"{it['after']:.3f}",
            f"{it['difference']:+.3f}",
            f"{it['low']:+.3f} to {it['high']:+.3f}",
            _p(it["p"]),
            _p(it["p_holm"]),
            f"{it['better']} / {it['worse']} / {it['n']}",
            _verdict(it),
        )
        for name, it in metrics.items()
    ]
    head = ("metric", "before", "after", "difference", "95 %", "p", "p (Holm)")
    table = Table((*head, "better / worse / n", ""), rows)
    plot = intervals("After minus before", bars, low=-reach, high=reach)
    changed = Table(
        ("id", "question", "changes"),
        [
            (it["id"], it["text"], ", ".join(f"{k} {v:+.2f}" for k, v in it["changes"].items()))
            for it in found["questions"][:_SHOWN]
        ],
    )
    about: list[str | Table | Plot] = [
        f"Data: {found['data']}. The difference has a 95 % bootstrap interval; p is that of a"
        " two-sided paired randomisation test, and beside it adjusted (Holm) for being several.",
        table,
        Plot("differences", "After minus before", plot),
    ]
    sections = [Section("", [_differing(found), *about])]
    if changed.rows:
        sections.append(Section("Questions that changed most", [changed]))
    return Page(f"{found['before']} → {found['after']}", sections)


def _differing(found: Mapping[str, Any]) -> Table:
    one, other = found["configurations"]
    rows = [
        (name, str(one.get(name)), str(other.get(name)))
        for name in one
        if one.get(name) != other.get(name)
    ]
    return Table(("configuration", "before", "after"), rows or [("the same", "", "")])


def _verdict(it: Mapping[str, Any]) -> str:
    if it["p_holm"] >= _LEVEL:
        return ""
    return "better" if it["difference"] > 0 else "worse"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
