"""Runs of a page to lines in reading order: what stands side by side as columns is read one column
after the other, what stands side by side in rows is read row by row.

A gutter between columns is a strip that no run crosses, over several rows, with text on both sides
that fills its side as prose does. Short cells beside each other are a table, and stay rows.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Final

from kotaemon_node.adapters.documents.pdf_letters import readable
from kotaemon_node.adapters.documents.pdf_page import Run

_COLUMN_ROWS_MIN: Final = 4
_COLUMN_LETTERS_MIN: Final = 12  # in half of the lines of a column; figures are no prose
_COLUMN_FILL_MIN: Final = 0.6  # of the width of a column, by its longer lines
_WIDTH_POINTS_MAX: Final = 20_000  # the widest page that the format knows has 14,400
_GUTTERS_TRIED_MAX: Final = 24
_GUTTER_POINTS_MIN: Final = 5.0
_DEPTH_MAX: Final = 24
_WORD_GAP_EM: Final = 0.16
_CELL_GAP_EM: Final = 1.2
_WIDE: Final = "\u1100-\u115f\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\uff00-\uff60"
_WIDE_END: Final = re.compile(rf"[{_WIDE}]$")
_WIDE_BEGIN: Final = re.compile(rf"[{_WIDE}]")
_SPACED_WIDE: Final = re.compile(rf"(?<=[{_WIDE}…]) (?=[{_WIDE}…])")
_PAIR_WIDE: Final = re.compile(rf"(?<=[{_WIDE}])(?=[{_WIDE}])")


@dataclass(frozen=True, slots=True)
class Cell:
    """Text of a line without a wide gap in it."""

    text: str
    x0: float
    x1: float


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a column. ``left`` and ``right`` are the edges of the column, not of the line."""

    cells: tuple[Cell, ...]
    y0: float
    y1: float
    size: float
    bold: bool
    left: float
    right: float
    region: int
    """Lines of one column of one page have the same."""
    table: int | None = None
    """The number of the ruled table that stands here instead of text."""

    @property
    def text(self) -> str:
        """The whole line."""
        return " ".join(cell.text for cell in self.cells)

    @property
    def x0(self) -> float:
        """Where its text begins."""
        return self.cells[0].x0

    @property
    def x1(self) -> float:
        """Where its text ends."""
        return self.cells[-1].x1


Row = list[Run]


def lines_of(runs: Sequence[Run]) -> list[Line]:
    """Return the lines of a page in reading order."""
    lines: list[Line] = []
    for region, rows in enumerate(_regions(rows_of(runs), 0)):
        left = min(run.x0 for row in rows for run in row)
        right = max(run.x1 for row in rows for run in row)
        for row in rows:
            if line := _line(row, left=left, right=right, region=region):
                lines.append(line)
    return lines


def rows_of(runs: Sequence[Run]) -> list[Row]:
    """Return the runs by the height at which they stand, from the top down."""
    rows: list[Row] = []
    for run in sorted(runs, key=lambda it: (it.middle, it.x0)):
        if rows and _same_height(rows[-1], run):
            rows[-1].append(run)
        else:
            rows.append([run])
    return rows


def _same_height(row: Row, run: Run) -> bool:
    """Tell whether a run stands on the line of the largest run of a row, also raised or lowered.

    A table is as high as many lines, and none of them is its own.
    """
    if run.table is not None or row[0].table is not None:
        return False
    largest = max(row, key=lambda it: it.style.size)
    size = max(largest.style.size, run.style.size)
    return abs(run.middle - largest.middle) < 0.45 * size


def _regions(rows: list[Row], depth: int) -> Iterator[list[Row]]:
    if not rows:
        return
    found = _gutter(rows) if depth < _DEPTH_MAX else None
    if found is None:
        yield rows
        return
    first, last, x = found
    columns = [[run for row in rows[first:last] for run in row if run.x0 < x]]
    columns.append([run for row in rows[first:last] for run in row if run.x0 >= x])
    yield from _regions(rows[:first], depth + 1)
    for column in columns:
        yield from _regions(rows_of(column), depth + 1)
    yield from _regions(rows[last:], depth + 1)


def _gutter(rows: list[Row]) -> tuple[int, int, float] | None:
    """Return the rows (first, behind the last) and the place of the longest gutter."""
    if len(rows) < _COLUMN_ROWS_MIN:
        return None
    best: tuple[int, int, float] | None = None
    for x in _valleys(rows):
        for first, last in _bands(rows, x):
            longer = best is None or last - first > best[1] - best[0]
            if longer and _are_columns(rows[first:last], x):
                best = first, last, x
    return best


def _valleys(rows: list[Row]) -> list[float]:
    """Return the middles of strips that fewer runs cross than what is beside them."""
    runs = [run for row in rows for run in row]
    left, right = min(run.x0 for run in runs), max(run.x1 for run in runs)
    width = min(int(right - left) + 1, _WIDTH_POINTS_MAX)
    steps = [0] * (width + 1)
    for run in runs:
        steps[min(max(int(run.x0 - left), 0), width)] += 1
        steps[min(max(int(run.x1 - left) + 1, 0), width)] -= 1
    covered = list(accumulate(steps))[:width]
    found: list[tuple[int, float]] = []
    at = 0
    for count, strip in groupby(covered):
        size = len(list(strip))
        inside = at > 0 and at + size < width
        if inside and size >= _GUTTER_POINTS_MIN and covered[at - 1] > count < covered[at + size]:
            found.append((count, left + at + size / 2))
        at += size
    return [x for _, x in sorted(found)[:_GUTTERS_TRIED_MAX]]


def _bands(rows: list[Row], x: float) -> Iterator[tuple[int, int]]:
    """Yield the stretches of rows that leave a gutter at ``x`` free."""
    half = _GUTTER_POINTS_MIN / 2 - 0.5
    first = 0
    for at, row in enumerate(rows):
        if any(run.x0 < x + half and run.x1 > x - half for run in row):
            if at - first >= _COLUMN_ROWS_MIN:
                yield first, at
            first = at + 1
    if len(rows) - first >= _COLUMN_ROWS_MIN:
        yield first, len(rows)


def _are_columns(rows: list[Row], x: float) -> bool:
    left = [[run for run in row if run.x1 < x] for row in rows]
    right = [[run for run in row if run.x0 >= x] for row in rows]
    return _is_prose(left) and _is_prose(right)


def _is_prose(rows: list[Row]) -> bool:
    held = [row for row in rows if row]
    if len(held) < _COLUMN_ROWS_MIN:
        return False
    left = min(run.x0 for row in held for run in row)
    right = max(run.x1 for row in held for run in row)
    filled = sorted(sum(run.x1 - run.x0 for run in row) / (right - left + 0.01) for row in held)
    letters = sorted(sum(_letters(run) for run in row) for row in held)
    full, half = filled[len(held) * 3 // 4], letters[len(held) // 2]
    return full >= _COLUMN_FILL_MIN and half >= _COLUMN_LETTERS_MIN


def _letters(run: Run) -> int:
    if run.table is not None:
        return _COLUMN_LETTERS_MIN
    return columns_of("".join(filter(str.isalpha, run.text)))


def columns_of(text: str) -> int:
    """Return the width of a text in Latin letters; a wide character counts as two."""
    return len(text) if text.isascii() else sum(2 if char >= "\u2e80" else 1 for char in text)


def _line(row: Row, *, left: float, right: float, region: int) -> Line | None:
    ordered = sorted(row, key=lambda run: run.x0)
    table = next((run.table for run in ordered if run.table is not None), None)
    if sum(run.right_to_left for run in ordered) * 2 > len(ordered):
        ordered.reverse()
    cells = [cell for cell in cells_of(ordered) if cell.text]
    if table is not None:
        cells = [Cell("", ordered[0].x0, ordered[-1].x1)]
    if not cells:
        return None
    styles: Counter[tuple[float, bool]] = Counter()
    for run in ordered:
        styles[run.style.size, run.style.bold] += len(run.text.strip())
    (size, _), _ = styles.most_common(1)[0]
    bold = sum(count for (_, bold), count in styles.items() if bold)
    return Line(
        cells=tuple(cells),
        y0=min(run.y0 for run in ordered),
        y1=max(run.y1 for run in ordered),
        size=size,
        bold=bold > 0.9 * styles.total(),
        left=left,
        right=right,
        region=region,
        table=table,
    )


def cells_of(runs: Sequence[Run]) -> list[Cell]:
    """Return the text of runs of one line, in their order; a wide gap begins another cell."""
    cells: list[Cell] = []
    text, x0, x1 = "", 0.0, 0.0
    for run in runs:
        gap = max(run.x0 - x1, x0 - run.x1)
        if text.strip() and gap > _CELL_GAP_EM * run.style.size:
            cells.append(Cell(tidy(text), x0, x1))
            text = ""
        if not text.strip():
            text, x0, x1 = run.text, run.x0, run.x1
            continue
        blank = gap > _WORD_GAP_EM * run.style.size and not _wide_around(text, run.text)
        text = f"{text} {run.text}" if blank else text + run.text
        x0, x1 = min(x0, run.x0), max(x1, run.x1)
    if text.strip():
        cells.append(Cell(tidy(text), x0, x1))
    return cells


def _wide_around(before: str, after: str) -> bool:
    return _WIDE_END.search(before) is not None and _WIDE_BEGIN.match(after) is not None


def tidy(text: str) -> str:
    """Return a line with single blanks, and without those that only space out wide characters."""
    line = " ".join(readable(text).split())
    spaced = len(_SPACED_WIDE.findall(line))
    if spaced > 2 and spaced > len(_PAIR_WIDE.findall(line)):
        return _SPACED_WIDE.sub("", line)
    return line


def joined(before: str, after: str) -> str:
    """Return what stands between two lines of one paragraph: a blank, or nothing."""
    return "" if _wide_around(before, after) else " "
