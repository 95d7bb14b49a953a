"""Courses over time as SVG: one line a name, its last value written beside it."""

from collections.abc import Mapping, Sequence
from html import escape

from load.bench.speed.plots import STYLE

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 720, 260, 60, 170, 34, 34
_COLOURS = ("#2f74c0", "#d1495b", "#3a8f5c", "#8d5bb5", "#c77f1a", "#3d9ba3", "#8a6d3b")
_LABEL = 14

Points = Sequence[tuple[float, float]]


def courses_plot(title: str, lines: Mapping[str, Points], *, unit: str) -> str:
    """Return lines over minutes, on an axis from nothing to the largest."""
    points = [point for line in lines.values() for point in line]
    last = max((at for at, _ in points), default=0.0) or 1.0
    most = max((value for _, value in points), default=0.0) or 1.0
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def place(at: float, value: float) -> tuple[float, float]:
        return (
            _LEFT + at / last * (right - _LEFT),
            bottom - value / most * (bottom - _TOP),
        )

    parts = [f'<text x="10" y="20" class="t">{escape(title)}, {escape(unit)}</text>']
    for step in range(5):
        _, y = place(0.0, most * step / 4)
        x, _ = place(last * step / 4, 0.0)
        parts.append(
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" class="g"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{most * step / 4:.3g}</text>'
            f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{last * step / 4:.3g}</text>'
        )
    for number, line in enumerate(lines.values()):
        if line:
            parts.append(_line([place(*point) for point in line], number))
    ends = [
        (place(*line[-1])[1], number, f"{name} {line[-1][1]:.3g}")
        for number, (name, line) in enumerate(lines.items())
        if line
    ]
    parts += _names(ends, right + 8)
    parts.append(f'<text x="{right + 8}" y="{bottom + 18}">minutes</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        f' width="{_WIDTH}" role="img" aria-label="{escape(title)}">'
        f"<style>{STYLE}</style>{''.join(parts)}</svg>\n"
    )


def _line(points: Points, number: int) -> str:
    way = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{way}" fill="none" stroke="{_colour(number)}" stroke-width="1.6"/>'


def _names(ends: Sequence[tuple[float, int, str]], x: float) -> list[str]:
    """Write names at the ends of their lines, one below the other where these are near."""
    found, free = [], float(_TOP)
    for end, number, name in sorted(ends):
        y = max(free, end)
        found.append(
            f'<text x="{x:.1f}" y="{y + 4:.1f}" style="fill:{_colour(number)}">'
            f"{escape(name)}</text>"
        )
        free = y + _LABEL
    return found


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]
