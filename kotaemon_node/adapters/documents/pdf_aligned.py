"""Tables without ruling lines: rows of short cells that stand below each other.

Financial reports are made of them: a label, figures set flush right, currency signs of their own,
and above them headings that reach over several columns.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kotaemon_node.adapters.documents.pdf_layout import Cell, Line

_ROWS_MIN: Final = 3
_ROW_DISTANCE_MAX: Final = 3.6  # in heights of a line
_LABEL_LINES_MAX: Final = 3  # with a single cell in a row, between rows with several
_LABEL_WIDTH_MAX: Final = 0.66  # of the column of text; a longer line is prose
_CELL_CHARS_MAX: Final = 70.0  # on average; longer ones are columns of prose
_HEADER_ROWS_MAX: Final = 5
_LABEL_SHARE: Final = 0.3  # of the width of the column of text, before its figures begin
_SLACK: Final = 20.0  # points that a heading reaches over the columns it stands above
_YEAR: Final = re.compile(r"(?:19|20)\d\d")
_ABOVE_SHARE: Final = 0.3  # of a column, that a heading of it covers
_COLUMN_GAP: Final = 1.0  # points

_SIGN_BEHIND: Final = re.compile(r"(?:^|\s)([$€£¥]|US\$|RMB)$")
_UNENDED: Final = re.compile(r"(?:,|\b(?:and|or|of|the|in|for|to|on|from))$")
_TAIL: Final = re.compile(r"[)%]+|\)\s?%|[)%]*\s?\([a-z]\)")
_MARK: Final = re.compile(
    r"[•‣▪●◦■□–\-*·\uf0b7\uf0a7]|\(?(?:\d{1,3}|[A-Za-z]|[ivx]{1,4})[.)、]|\[\d+\]"
)
_FIGURE: Final = re.compile(r"[($€£¥\s]*-?[\d.,]+[)%\s]*|—|–|-|N/?A|\*")


@dataclass(frozen=True, slots=True)
class AlignedTable:
    """The cells of a table by rows, and how many lines of the page it took."""

    rows: list[list[str]]
    has_header: bool
    lines: int


def aligned_table(lines: Sequence[Line]) -> AlignedTable | None:
    """Return the table that begins with the first of ``lines``, if one does."""
    rows: list[list[Cell]] = []
    count = singles = several = 0
    figures_x0 = lines[0].right
    for at, line in enumerate(_together(lines)):
        cells = _merged(line.cells)
        if len(cells) > 1 and not (len(cells) == 2 and _MARK.fullmatch(cells[0].text)):
            if singles and several >= _ROWS_MIN and cells[0].x0 > figures_x0 - _SLACK:
                break  # the header of another table, below its own heading
            singles, several, count = 0, several + 1, at + 1
            figures_x0 = min(figures_x0, cells[1].x0)
        elif _is_label(line, cells, figures_x0) if at else _spans(lines):
            singles += 1
        else:
            break
        if singles > _LABEL_LINES_MAX:
            break
        rows.append(cells)
    return _aligned(rows[:count]) if several >= _ROWS_MIN else None


def _together(lines: Sequence[Line]) -> Iterator[Line]:
    """Yield the first lines as long as none is far from the one above."""
    for at, line in enumerate(lines):
        if line.table is not None or line.region != lines[0].region:
            return
        if at and not _near(lines[at - 1], line):
            return
        yield line


def _spans(lines: Sequence[Line]) -> bool:
    """Tell whether the first line stands above the columns of figures of the next one."""
    if len(lines) < 2 or len(lines[1].cells) < 2 or not _near(lines[0], lines[1]):
        return False
    cell, below = lines[0].cells[0], lines[1]
    label = lines[0].left + _LABEL_SHARE * (lines[0].right - lines[0].left)
    return cell.x0 > max(label, below.x0 - _SLACK) and cell.x1 < below.x1 + _SLACK


def _near(above: Line, below: Line) -> bool:
    return 0 <= below.y0 - above.y0 <= _ROW_DISTANCE_MAX * (above.y1 - above.y0)


def _is_label(line: Line, cells: list[Cell], figures_x0: float) -> bool:
    width = cells[0].x1 - cells[0].x0
    fits = cells[0].x1 < figures_x0 or width < _LABEL_WIDTH_MAX * (line.right - line.left)
    return fits and not _MARK.match(cells[0].text)


def _merged(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells with currency signs before and brackets behind their figures."""
    merged: list[Cell] = []
    sign = ""
    for cell in cells:
        text, x1 = sign + cell.text, cell.x1
        # The sign of the next column often stands close behind the figure of this one.
        found = _SIGN_BEHIND.search(text)
        sign = "" if found is None else found.group(1)
        if found is not None:
            x1 -= (cell.x1 - cell.x0) * (len(text) - found.start()) / len(text)
            text = text[: found.start()]
        if _FIGURE.fullmatch(text):
            text = "".join(text.split())
        if merged and _TAIL.fullmatch(text):
            last = merged.pop()
            merged.append(Cell(f"{last.text}{text}", last.x0, x1))
        elif text:
            merged.append(Cell(text, cell.x0, x1))
    return [*merged, Cell(sign, cells[-1].x1, cells[-1].x1)] if sign else merged


def _aligned(rows: list[list[Cell]]) -> AlignedTable | None:
    columns = _columns(rows)
    cells = [cell for row in rows for cell in row]
    if len(columns) < 2 or sum(len(it.text) for it in cells) > _CELL_CHARS_MAX * len(cells):
        return None
    if _scattered(rows, columns):
        return None
    placed = [_placed(row, columns) for row in rows]
    above = _header_rows(rows, placed)
    texts: list[list[str]] = []
    if above:
        header = zip(*(_placed_above(row, columns) for row in rows[:above]), strict=True)
        texts.append([" ".join(filter(None, column)) for column in header])
    for row, cells_of_row in zip(placed[above:], rows[above:], strict=True):
        label = texts[-1][0] if len(texts) > bool(above) and not any(texts[-1][1:]) else ""
        if label and row[0] and (row[0][0].islower() or _UNENDED.search(label)):
            texts[-1] = [f"{label} {row[0]}", *row[1:]]  # a label of several lines
        else:
            texts.append(_once(row) if len(cells_of_row) < len(columns) else row)
    return AlignedTable(texts, has_header=bool(above) and len(texts) > 1, lines=len(rows))


def _columns(rows: list[list[Cell]]) -> list[tuple[float, float]]:
    """Return the left and right edges of the columns.

    Rows of figures with many cells say where they are; a heading that reaches over several columns
    says nothing.
    """
    several = [row for row in rows if len(row) > 1]
    figures = [row for row in several if any(map(_is_figure, row[1:]))]
    columns: list[tuple[float, float]] = []
    for row in sorted(figures if len(figures) > 1 else several, key=len, reverse=True):
        wider = _united([*columns, *((cell.x0, cell.x1) for cell in row)])
        if len(wider) >= len(columns):
            columns = wider
    return columns


def _united(intervals: list[tuple[float, float]]) -> list[tuple[float, float]]:
    united: list[tuple[float, float]] = []
    for left, right in sorted(intervals):
        if united and left < united[-1][1] + _COLUMN_GAP:
            united[-1] = united[-1][0], max(united[-1][1], right)
        else:
            united.append((left, right))
    return united


def _scattered(rows: list[list[Cell]], columns: list[tuple[float, float]]) -> bool:
    """Tell lines with wide gaps here and there from rows: most columns are empty in most rows."""
    several = [row for row in rows if len(row) > 1]
    return sum(len(row) for row in several) < 0.45 * len(columns) * len(several)


def _placed(row: list[Cell], columns: list[tuple[float, float]]) -> list[str]:
    """Return the text of each column; a cell that reaches over several stands in each of them."""
    texts = [""] * len(columns)
    for cell in row:
        over = [at for at, it in enumerate(columns) if cell.x0 < it[1] and it[0] < cell.x1]
        if not over:
            middle = (cell.x0 + cell.x1) / 2
            over = [min(range(len(columns)), key=lambda at: abs(sum(columns[at]) / 2 - middle))]
        for at in over:
            texts[at] = f"{texts[at]} {cell.text}".strip()
    return texts


def _placed_above(row: list[Cell], columns: list[tuple[float, float]]) -> list[str]:
    """Return the text of each column in a row of the header.

    Its cells are centred over columns whose figures stand flush right: those reach further left.
    """
    lefts = [float("-inf"), *(right for _, right in columns)]
    texts = [""] * len(columns)
    for cell in row:
        shares = [
            (min(cell.x1, right) - max(cell.x0, left))
            / max(min(cell.x1 - cell.x0, right - left), 1)
            for left, (_, right) in zip(lefts, columns, strict=False)
        ]
        for at, share in enumerate(shares):
            if share >= min(_ABOVE_SHARE, max(shares)):
                texts[at] = f"{texts[at]} {cell.text}".strip()
    return texts


def _once(texts: list[str]) -> list[str]:
    """Return a row below the header with a cell that reaches over columns in the first of them."""
    return [text if not at or text != texts[at - 1] else "" for at, text in enumerate(texts)]


def _header_rows(rows: list[list[Cell]], placed: list[list[str]]) -> int:
    """Return how many rows stand above the first one that has a label and figures."""
    for at, (cells, texts) in enumerate(zip(rows, placed, strict=True)):
        if texts[0] and any(map(_is_figure, cells[1:])):
            return at if at <= _HEADER_ROWS_MAX else 0
        # A single cell begins the body: what reaches over columns stands above those.
        if at and len(cells) == 1 and len(rows[at - 1]) > 1:
            return at if at <= _HEADER_ROWS_MAX else 0
    return 1  # no figures at all: as in most tables, the first row names the columns


def _is_figure(cell: Cell) -> bool:
    return _FIGURE.fullmatch(cell.text) is not None and _YEAR.fullmatch(cell.text) is None
