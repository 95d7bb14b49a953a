"""Tables that a page rules: the grid of its lines, and the text that stands in each cell."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from kotaemon_node.adapters.documents.pdf_layout import cells_of, joined, rows_of
from kotaemon_node.adapters.documents.pdf_page import PageContent, Run
from kotaemon_node.adapters.documents.pdf_rules import Box

_NEAR: Final = 3.0  # points between lines that are meant to meet
_LINES_MAX: Final = 2_000  # of one page; a drawing of more is no table
_CELLS_MAX: Final = 20_000
_UNRULED_COLUMNS_MIN: Final = 3
_UNRULED_FILLED_MIN: Final = 0.9
_FILLED_MIN: Final = 0.2  # of the cells; less is a form or a drawing

Rows = list[list[str]]


@dataclass(frozen=True, slots=True)
class RuledTable:
    """The cells of a table by rows; one that spans rows is repeated in each."""

    box: Box
    rows: Rows
    has_header: bool


def ruled_tables(content: PageContent) -> tuple[list[RuledTable], list[Run]]:
    """Return the ruled tables of a page, and its runs with one run in the place of each table."""
    runs = content.runs
    tables: list[RuledTable] = []
    for across, down in _grids(content.rules.across, content.rules.down):
        inside, outside = _split(runs, across, down)
        table = _table(inside, across, down)
        if table is not None:
            x0, y0, x1, y1 = table.box
            place = Run("", x0, x1, y0, y1, inside[0].style, table=len(tables))
            runs = [*outside, place]
            tables.append(table)
    return tables, runs


def _grids(across: list[Box], down: list[Box]) -> Iterator[tuple[list[Box], list[Box]]]:
    """Yield lines that touch each other: at least two each way, and one more."""
    lines = [*across, *down]
    if not (len(across) >= 2 and len(down) >= 2) or len(lines) > _LINES_MAX:
        return
    members: dict[int, tuple[list[Box], list[Box]]] = {}
    for at, group in enumerate(_groups(lines)):
        members.setdefault(group, ([], []))[0 if at < len(across) else 1].append(lines[at])
    for rows, columns in members.values():
        if len(rows) >= 2 and len(columns) >= 2 and len(rows) + len(columns) > 4:
            yield rows, columns


def _groups(lines: list[Box]) -> list[int]:
    """Return a number for each line, the same for those that touch each other, also by others."""
    group = list(range(len(lines)))

    def first(at: int) -> int:
        while group[at] != at:
            group[at] = group[group[at]]
            at = group[at]
        return at

    for one, box in enumerate(lines):
        for other in range(one + 1, len(lines)):
            if _touch(box, lines[other]):
                group[first(other)] = first(one)
    return [first(at) for at in range(len(lines))]


def _touch(one: Box, other: Box) -> bool:
    return (
        one[0] - _NEAR <= other[2]
        and other[0] - _NEAR <= one[2]
        and one[1] - _NEAR <= other[3]
        and other[1] - _NEAR <= one[3]
    )


def _split(runs: Sequence[Run], across: list[Box], down: list[Box]) -> tuple[list[Run], list[Run]]:
    """Return the runs inside a grid, cut at its vertical lines, and those outside."""
    x0, x1 = min(box[0] for box in across), max(box[2] for box in across)
    y0, y1 = min(box[1] for box in down), max(box[3] for box in down)
    inside: list[Run] = []
    outside: list[Run] = []
    for run in runs:
        held = y0 <= run.middle <= y1 and x0 <= (run.x0 + run.x1) / 2 <= x1
        if held and run.table is None:
            beside = [(it[0] + it[2]) / 2 for it in down if it[1] <= run.middle <= it[3]]
            inside.extend(_cut(run, _places(beside)))
        else:
            outside.append(run)
    return inside, outside


def _cut(run: Run, edges: list[float]) -> Iterator[Run]:
    """Yield the parts of a run between vertical lines."""
    crossed = [x for x in edges if run.x0 + 1 < x < run.x1 - 1]
    if not crossed or run.right_to_left or len(run.places) != len(run.text):
        yield run
        return
    begin = 0
    for x in (*crossed, run.x1 + 1):
        end = bisect_right(run.places, x, lo=begin)
        if run.text[begin:end].strip():
            left = max(run.x0, min(run.places[begin], run.places[end - 1]))
            yield Run(
                run.text[begin:end],
                x0=left,
                x1=min(x, run.x1),
                y0=run.y0,
                y1=run.y1,
                style=run.style,
                places=run.places[begin:end],
            )
        begin = end


def _table(runs: list[Run], across: list[Box], down: list[Box]) -> RuledTable | None:
    xs = _places([(box[0] + box[2]) / 2 for box in down])
    ys = _places([(box[1] + box[3]) / 2 for box in across])
    width, height = len(xs) - 1, len(ys) - 1
    if width < 1 or height < 1 or not 2 < width * height + 1 <= _CELLS_MAX or not runs:
        return None
    owner = _owners(xs, ys, across, down)
    held: dict[tuple[int, int], list[Run]] = {}
    for run in runs:
        column = min(max(bisect_right(xs, (run.x0 + run.x1) / 2) - 1, 0), width - 1)
        row = min(max(bisect_right(ys, run.middle) - 1, 0), height - 1)
        held.setdefault(owner[row][column], []).append(run)
    rows: Rows = []
    for row in range(height):
        begun = {place: held.get(place, []) for place in owner[row] if place[0] == row}
        texts = [
            _cell_text(held.get(place, [])) if place[1] == column else ""
            for column, place in enumerate(owner[row])
        ]
        rows.extend(_unruled(begun, owner[row]) or [texts])
    rows = _without_empty_columns([row for row in rows if any(row)])
    filled = sum(1 for row in rows for text in row if text)
    if not rows or len(rows[0]) < 2 or filled < _FILLED_MIN * len(rows) * len(rows[0]):
        return None
    return RuledTable((xs[0], ys[0], xs[-1], ys[-1]), rows, has_header=names_columns(rows))


def names_columns(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether the first row of a table says what stands in its columns."""
    first = [text for text in rows[0] if text]
    return (
        len(rows) > 1
        and len(first) >= max(2, len(rows[0]) // 2)
        and not any(text[0].isdigit() or text.startswith(("$", "(")) for text in first[1:])
    )


def _owners(
    xs: list[float], ys: list[float], across: list[Box], down: list[Box]
) -> list[list[tuple[int, int]]]:
    """Return for each field of the grid (row, column) the first field of its cell."""
    owner: list[list[tuple[int, int]]] = []
    for row, (top, bottom) in enumerate(pairwise(ys)):
        owner.append([])
        for column, (left, right) in enumerate(pairwise(xs)):
            x, y = (left + right) / 2, (top + bottom) / 2
            if column and not _ruled_down(down, left, y):
                owner[row].append(owner[row][column - 1])
            elif row and not _ruled_across(across, x, top) and owner[row - 1][column][1] == column:
                owner[row].append(owner[row - 1][column])
            else:
                owner[row].append((row, column))
    return owner


def _ruled_down(down: list[Box], x: float, y: float) -> bool:
    return any(abs((it[0] + it[2]) / 2 - x) <= _NEAR and it[1] <= y <= it[3] for it in down)


def _ruled_across(across: list[Box], x: float, y: float) -> bool:
    return any(abs((it[1] + it[3]) / 2 - y) <= _NEAR and it[0] <= x <= it[2] for it in across)


def _unruled(cells: dict[tuple[int, int], list[Run]], places: list[tuple[int, int]]) -> Rows | None:
    """Return the rows that stand between two lines of the table without a line of their own.

    They are rows, and not cells of several lines, where nearly all columns have one at each height.
    """
    heights = rows_of([run for runs in cells.values() for run in runs])
    filled = [place for place, runs in cells.items() if runs]
    if len(heights) < 2 or len(filled) < _UNRULED_COLUMNS_MIN or len(filled) < len(set(places)):
        return None
    at = {id(run): number for number, row in enumerate(heights) for run in row}
    lines = {place: {at[id(run)] for run in cells[place]} for place in filled}
    if sum(map(len, lines.values())) < _UNRULED_FILLED_MIN * len(heights) * len(filled):
        return None
    return [
        [
            _cell_text([run for run in cells[place] if at[id(run)] == number])
            if place[1] == column
            else ""
            for column, place in enumerate(places)
        ]
        for number in range(len(heights))
    ]


def _cell_text(runs: list[Run]) -> str:
    text = ""
    for row in rows_of(runs):
        ordered = sorted(row, key=lambda run: run.x0, reverse=row[0].right_to_left)
        for cell in cells_of(ordered):
            text = text + joined(text, cell.text) + cell.text if text else cell.text
    return text


def _without_empty_columns(rows: Rows) -> Rows:
    kept = [any(column) for column in zip(*rows, strict=True)] if rows else []
    return [[text for text, keep in zip(row, kept, strict=True) if keep] for row in rows]


def _places(values: list[float]) -> list[float]:
    """Return where lines stand; those nearer than they could hold text between count as one."""
    places: list[float] = []
    for value in sorted(values):
        if not places or value - places[-1] > _NEAR:
            places.append(value)
    return places
