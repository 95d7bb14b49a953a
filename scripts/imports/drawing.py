"""The picture: boxes where the map has them, and lines that go round boxes."""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Final

from scripts.imports.map import ROWS
from scripts.imports.packages import Imports, unimplied

_LEFT, _TOP, _COLUMN, _ROW = 112, 64, 176, 88
_WIDE, _HIGH, _GAP = 164, 44, 9
_WIDTH: Final = _LEFT + 6 * _COLUMN + 40
_HEIGHT: Final = _TOP + len(ROWS) * _ROW - 24

_HEAD: Final = f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" \
font-family="system-ui, sans-serif">
<title>What imports what</title>
<style>
.box {{ fill: #eef3fb; stroke: #4a648f; }}
.name {{ font-size: 14px; font-weight: 600; fill: #14233d; text-anchor: middle; }}
.says {{ font-size: 10.5px; fill: #4f5b70; text-anchor: middle; }}
.row {{ font-size: 12px; fill: #6c7789; }}
.line {{ fill: none; stroke: #4a648f; stroke-width: 1.3; opacity: 0.75; }}
.rule {{ stroke: #dde3ec; }}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" \
orient="auto"><path d="M0 0 8 4 0 8Z" fill="#4a648f"/></marker></defs>
<rect width="100%" height="100%" fill="#fff"/>
<text class="row" x="16" y="26">An arrow: imports. What follows from other arrows is not drawn; \
each box names all that it imports. Made by python -m scripts.imports</text>
"""


@dataclass(frozen=True, slots=True)
class _Box:
    row: int
    x: float
    y: float

    @property
    def middle(self) -> float:
        return self.x + _WIDE / 2


def picture(imports: Imports) -> str:
    """Return the SVG."""
    boxes = _boxes()
    return "".join([_HEAD, *_rows(), *_lines(imports, boxes), *_drawn(imports, boxes), "</svg>\n"])


def _boxes() -> dict[str, _Box]:
    return {
        place.name: _Box(number, _LEFT + place.column * _COLUMN, _TOP + number * _ROW)
        for number, (_, places) in enumerate(ROWS)
        for place in places
    }


def _rows() -> Iterator[str]:
    for number, (name, _) in enumerate(ROWS):
        if name:
            y = _TOP + number * _ROW
            yield f'<path class="rule" d="M16 {y - 22}H{_WIDTH - 16}"/>\n'
            yield f'<text class="row" x="16" y="{y + 26}">{escape(name)}</text>\n'


def _drawn(imports: Imports, boxes: dict[str, _Box]) -> Iterator[str]:
    for _, places in ROWS:
        for place in places:
            box, others = boxes[place.name], ", ".join(sorted(imports[place.name])) or "nothing"
            yield (
                f"<g><title>{place.name} imports {others}</title>"
                f'<rect class="box" x="{box.x:g}" y="{box.y}" width="{_WIDE}" height="{_HIGH}" '
                f'rx="5"/><text class="name" x="{box.middle:g}" y="{box.y + 19}">{place.name}'
                f'</text><text class="says" x="{box.middle:g}" y="{box.y + 35}">'
                f"{escape(place.says)}</text></g>\n"
            )


def _lines(imports: Imports, boxes: dict[str, _Box]) -> Iterator[str]:
    lines = [(name, other, boxes[name], boxes[other]) for name, other in unimplied(imports)]
    leaving = _spread({(a, b): (s.middle, t.middle) for a, b, s, t in lines})
    coming = _spread({(b, a): (t.middle, s.middle) for a, b, s, t in lines})
    for name, other, source, target in lines:
        x, end = leaving[name, other], coming[other, name]
        points = [(x, source.y + _HIGH)]
        for row in range(source.row + 1, target.row):
            there = points[-1][0] + (end - points[-1][0]) / (target.row - row + 1)
            x = _beside(there, row, boxes)
            top = _TOP + row * _ROW
            points += [(x, top), (x, top + _HIGH)]
        points.append((end, target.y))
        yield f'<path class="line" marker-end="url(#tip)" d="{_curve(points)}"/>\n'


def _spread(ends: dict[tuple[str, str], tuple[float, float]]) -> dict[tuple[str, str], float]:
    """Return where each line meets its box: side by side, in the order of their other ends."""
    found: dict[tuple[str, str], float] = {}
    for name in {name for name, _ in ends}:
        own = sorted((key for key in ends if key[0] == name), key=lambda key: (ends[key][1], key))
        step = min(18.0, (_WIDE - 24) / len(own))
        for place, key in enumerate(own):
            found[key] = ends[key][0] + (place - (len(own) - 1) / 2) * step
    return found


def _beside(x: float, row: int, boxes: dict[str, _Box]) -> float:
    """Return the place next to ``x`` where a line passes a row between its boxes."""
    taken = sorted(box.x for box in boxes.values() if box.row == row)
    hit = [left for left in taken if left - _GAP < x < left + _WIDE + _GAP]
    if not hit:
        return x
    ways = [way for left in hit for way in (left - _GAP, left + _WIDE + _GAP)]
    return min(ways, key=lambda way: (abs(way - x), way))


def _curve(points: list[tuple[float, float]]) -> str:
    parts = [f"M{points[0][0]:g} {points[0][1]:g}"]
    for (x, y), (to_x, to_y) in pairwise(points):
        if x == to_x:
            parts.append(f"V{to_y:g}")
            continue
        half = (y + to_y) / 2
        parts.append(f"C{x:g} {half:g} {to_x:g} {half:g} {to_x:g} {to_y:g}")
    return "".join(parts)
