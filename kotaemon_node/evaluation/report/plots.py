"""Plots as SVG, which a page holds inline: no library, no network, light and dark alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_WIDTH: Final = 640
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 34, 46
_LABELS: Final = 190  # room for the names of metrics
_ROW: Final = 24
_COLOURS: Final = ("#2f74c0", "#c2571a", "#3b8f5a")
_STYLE: Final = (
    "text{font:12px system-ui,sans-serif;fill:currentColor}"
    ".t{font-weight:600;font-size:13px}.g{stroke:currentColor;stroke-opacity:.18}"
    ".a{stroke:currentColor;stroke-opacity:.6}"
)


@dataclass(frozen=True, slots=True)
class Line:
    """A named line of (x, y) points; None in place of y is a gap."""

    name: str
    points: Sequence[tuple[float, float | None]]


@dataclass(frozen=True, slots=True)
class Bar:
    """A named figure with its interval."""

    name: str
    value: float
    low: float
    high: float


def lines(
    title: str, drawn: Sequence[Line], *, x_label: str, x_ticks: Sequence[float], mark: float | None
) -> str:
    """Return lines over a common x axis; y goes from 0 to 1. ``mark`` is a vertical line."""
    height = 300
    low, high = min(x_ticks), max(x_ticks)

    def x(value: float) -> float:
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return height - _BOTTOM - value * (height - _TOP - _BOTTOM)

    parts = [_text(_LEFT, 18, title, kind="t")]
    for tick in (0, 0.25, 0.5, 0.75, 1):
        parts.append(_line(_LEFT, y(tick), _WIDTH - _RIGHT, y(tick), kind="g"))
        parts.append(_text(_LEFT - 8, y(tick) + 4, f"{tick:g}", anchor="end"))
    for tick in x_ticks:
        parts.append(_text(x(tick), height - _BOTTOM + 16, f"{tick:g}", anchor="middle"))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(_text(middle, height - 8, x_label, anchor="middle"))
    if mark is not None:
        parts.append(_line(x(mark), _TOP, x(mark), height - _BOTTOM, kind="a"))
    for number, line in enumerate(drawn):
        parts += _drawn(line, number, [(x(a), y(b)) for a, b in line.points if b is not None])
    return _svg(title, height, parts)


def intervals(title: str, bars: Sequence[Bar], *, low: float, high: float) -> str:
    """Return a dot with its interval for each figure, on an axis from ``low`` to ``high``."""
    height = _TOP + _ROW * len(bars) + 30

    def x(value: float) -> float:
        inside = min(max(value, low), high)
        return _LABELS + (inside - low) / (high - low) * (_WIDTH - _LABELS - _RIGHT - 50)

    bottom = _TOP + _ROW * len(bars)
    parts = [_text(10, 18, title, kind="t")]
    for step in range(5):
        tick = low + step * (high - low) / 4
        parts.append(_line(x(tick), _TOP - 6, x(tick), bottom, kind="g"))
        parts.append(_text(x(tick), bottom + 16, f"{tick:.3g}", anchor="middle"))
    if low < 0 < high:
        parts.append(_line(x(0), _TOP - 6, x(0), bottom, kind="a"))
    for number, bar in enumerate(bars):
        at = _TOP + _ROW * number + _ROW / 2
        colour = _COLOURS[0]
        parts.append(_text(_LABELS - 10, at + 4, bar.name, anchor="end"))
        parts.append(
            f'<line x1="{x(bar.low):.1f}" y1="{at:.1f}" x2="{x(bar.high):.1f}" y2="{at:.1f}"'
            f' stroke="{colour}" stroke-width="3" stroke-opacity=".45"/>'
            f'<circle cx="{x(bar.value):.1f}" cy="{at:.1f}" r="4.5" fill="{colour}"/>'
        )
        parts.append(_text(_WIDTH - 10, at + 4, f"{bar.value:.3f}", anchor="end"))
    return _svg(title, height, parts)


def _drawn(line: Line, number: int, points: Sequence[tuple[float, float]]) -> list[str]:
    colour = _COLOURS[number % len(_COLOURS)]
    # Told apart without colours, too.
    dashes = ("", ' stroke-dasharray="6 4"', ' stroke-dasharray="2 3"')[number % 3]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    at = _LEFT + 190 + 190 * number
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>',
        f'<line x1="{at}" y1="14" x2="{at + 22}" y2="14" stroke="{colour}" stroke-width="2"'
        f"{dashes}/>",
        _text(at + 28, 18, line.name),
    ]


def _text(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, *, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _svg(title: str, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}"'
        f' width="{_WIDTH}" role="img" aria-label="{escape(title)}">'
        f"<style>{_STYLE}</style>{''.join(parts)}</svg>\n"
    )
