"""Lines on logarithmic axes, as SVG: load over pods, with the mark where a core is full."""

import math
from collections.abc import Mapping, Sequence
from html import escape

from load.bench.speed.plots import STYLE

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 360, 60, 220, 40, 40
_COLOURS = ("#2f74c0", "#c0392f", "#2f9e5b", "#a26ac0", "#c08a2f", "#4a9aa5", "#888888", "#c02f86")

Points = Sequence[tuple[float, float]]


def lines_plot(
    title: str, lines: Mapping[str, Points], *, x: str, y: str, full: float | None = None
) -> str:
    """Return the lines in their order; values of nothing are left out. ``full``: drawn across."""
    shown = {name: [it for it in points if it[1] > 0] for name, points in lines.items()}
    every = [it for points in shown.values() for it in points]
    xs = _Axis([it[0] for it in every], _LEFT, _WIDTH - _RIGHT)
    ys = _Axis([it[1] for it in every] + ([full] if full else []), _HEIGHT - _BOTTOM, _TOP)
    parts = [f'<text x="10" y="20" class="t">{escape(title)}</text>']
    for tick in xs.ticks():
        at = xs.at(tick)
        parts.append(
            f'<line x1="{at:.1f}" y1="{_TOP}" x2="{at:.1f}" y2="{_HEIGHT - _BOTTOM}" class="g"/>'
            f'<text x="{at:.1f}" y="{_HEIGHT - 22}" text-anchor="middle">{tick:g}</text>'
        )
    for tick in ys.ticks():
        at = ys.at(tick)
        parts.append(
            f'<line x1="{_LEFT}" y1="{at:.1f}" x2="{_WIDTH - _RIGHT}" y2="{at:.1f}" class="g"/>'
            f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    parts.append(
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2:.0f}" y="{_HEIGHT - 6}" text-anchor="middle">'
        f'{escape(x)}</text><text x="{_LEFT}" y="{_TOP - 8}">{escape(y)}</text>'
    )
    if full:
        at = ys.at(full)
        parts.append(
            f'<line x1="{_LEFT}" y1="{at:.1f}" x2="{_WIDTH - _RIGHT}" y2="{at:.1f}"'
            ' stroke="#c0392f" stroke-dasharray="6 4"/>'
        )
    for number, (name, points) in enumerate(shown.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        path = " ".join(f"{xs.at(a):.1f},{ys.at(b):.1f}" for a, b in points)
        label = _TOP + 12 + 18 * number
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<line x1="{_WIDTH - _RIGHT + 12}" y1="{label - 4}" x2="{_WIDTH - _RIGHT + 30}"'
            f' y2="{label - 4}" stroke="{colour}" stroke-width="3"/>'
            f'<text x="{_WIDTH - _RIGHT + 36}" y="{label}">{escape(name)}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}"'
        f' role="img" aria-label="{escape(title)}"><style>{STYLE}</style>{"".join(parts)}</svg>\n'
    )


class _Axis:
    """Powers of ten from ``begin`` to ``end``, in pixels."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        self._low = math.floor(math.log10(min(values)))
        self._high = max(self._low + 1, math.ceil(math.log10(max(values))))
        self._begin, self._end = begin, end

    def at(self, value: float) -> float:
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return self._begin + share * (self._end - self._begin)

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self._low, self._high + 1)]
