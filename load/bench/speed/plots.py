"""A plot of a measure's arms as SVG: each arm's middle, the middle half of its rounds, its ends."""

from collections.abc import Sequence
from html import escape

from load.bench.speed.figures import Spread

_WIDTH, _LABELS, _RIGHT, _TOP, _ROW = 720, 190, 90, 40, 26
_COLOUR = "#2f74c0"
# A page may be dark or light; a picture that it shows cannot know which.
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#222}.t{font-weight:600;font-size:13px}"
    ".g{stroke:#999;stroke-opacity:.35}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}}"
)


def spreads_plot(title: str, rows: Sequence[tuple[str, Spread]], *, unit: str) -> str:
    """Return one row an arm, on an axis from nothing to the largest."""
    most = max(it.most for _, it in rows) or 1.0
    bottom = _TOP + _ROW * len(rows)

    def x(value: float) -> float:
        return _LABELS + value / most * (_WIDTH - _LABELS - _RIGHT)

    parts = [f'<text x="10" y="20" class="t">{escape(title)}, {escape(unit)}</text>']
    for step in range(5):
        tick = most * step / 4
        parts.append(
            f'<line x1="{x(tick):.1f}" y1="{_TOP - 6}" x2="{x(tick):.1f}" y2="{bottom}" class="g"/>'
            f'<text x="{x(tick):.1f}" y="{bottom + 16}" text-anchor="middle">{tick:.3g}</text>'
        )
    for number, (name, it) in enumerate(rows):
        at = _TOP + _ROW * number + _ROW / 2
        parts.append(
            f'<text x="{_LABELS - 10}" y="{at + 4:.1f}" text-anchor="end">{escape(name)}</text>'
            f"{_stroke(x(it.least), x(it.most), at, 1)}{_stroke(x(it.low), x(it.high), at, 6)}"
            f'<circle cx="{x(it.median):.1f}" cy="{at:.1f}" r="5" fill="{_COLOUR}"/>'
            f'<text x="{_WIDTH - 10}" y="{at + 4:.1f}" text-anchor="end">{it.median:.4g}</text>'
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 26}"'
        f' width="{_WIDTH}" role="img" aria-label="{escape(title)}">'
        f"<style>{STYLE}</style>{''.join(parts)}</svg>\n"
    )


def _stroke(left: float, right: float, at: float, width: int) -> str:
    return (
        f'<line x1="{left:.1f}" y1="{at:.1f}" x2="{right:.1f}" y2="{at:.1f}" stroke="{_COLOUR}"'
        f' stroke-width="{width}" stroke-opacity=".45"/>'
    )
