"""The cells of an XLSX sheet as texts, read row by row: a sheet may be larger than memory."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from kotaemon_node.adapters.documents.number_formats import BUILT_IN, shown_number
from kotaemon_node.adapters.documents.ooxml import Package
from kotaemon_node.adapters.documents.xml_trees import (
    Element,
    attribute,
    child,
    children,
    local,
    whole_number,
    xml_stream,
)
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import DocumentRefused

_REFERENCE: Final = re.compile(r"([A-Z]{1,3})(\d{1,7})")
_RANGE: Final = re.compile(r"([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})")
_ESCAPED: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")
_MERGED_ROWS_MAX: Final = 1_000
_MERGED_MAX: Final = 100_000
_OFF: Final = frozenset({"0", "false"})


@dataclass(slots=True)
class SheetRow:
    """A row with something in it. ``texts`` is by column; both count from 1."""

    number: int
    texts: dict[int, str] = field(default_factory=dict)


class Cells:
    """What the cells of all sheets of a workbook share: texts, formats, the beginning of time."""

    def __init__(self, package: Package, main: str, workbook: Element) -> None:
        self._texts = list(_shared_texts(package, main))
        self._formats = list(_formats(package.tree_of(main, "styles")))
        begins = attribute(child(workbook, "workbookPr"), "date1904")
        self._since_1904 = begins is not None and begins not in _OFF
        self._cells_left = limits.SHEET_CELLS_MAX
        self._chars_left = limits.DOCUMENT_CHARS_MAX

    def text(self, cell: Element) -> str:
        """Return what a cell shows. Raises ``DocumentRefused`` when there are too many cells."""
        text = self._shown(cell).strip()
        if text:
            self._cells_left -= 1
            self._chars_left -= len(text)
        if self._cells_left < 0:
            raise DocumentRefused(
                f"it has more than {limits.SHEET_CELLS_MAX:,} filled cells; split it"
            )
        if self._chars_left < 0:
            raise DocumentRefused(
                f"its text is over the limit of {limits.DOCUMENT_CHARS_MAX:,} characters"
            )
        return text

    def _shown(self, cell: Element) -> str:
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            return _rich_text(child(cell, "is"))
        found = child(cell, "v")
        value = (found.text or "") if found is not None else ""
        if kind == "s":
            at = whole_number(value, -1)
            return self._texts[at] if 0 <= at < len(self._texts) else ""
        if kind == "b":
            return {"1": "TRUE", "0": "FALSE"}.get(value, value)
        if kind == "d":
            return value.removesuffix("T00:00:00").replace("T", " ")
        if kind != "n" or not value:
            return _unescaped(value)
        return self._number(value, whole_number(cell.get("s")))

    def _number(self, value: str, style: int) -> str:
        try:
            number = float(value)
        except ValueError:
            return value
        if not abs(number) < 1e300:
            return value
        number_format = self._formats[style] if 0 <= style < len(self._formats) else "General"
        return shown_number(number, number_format, since_1904=self._since_1904)


def read_cells(package: Package, part: str, cells: Cells) -> list[SheetRow]:
    """Return the rows of a sheet that have something in them, in order.

    A cell that was merged downwards is repeated, so that each row stands for itself.
    """
    rows: dict[int, SheetRow] = {}
    merged: list[str] = []
    last = 0
    with package.zipped.open(part) as file:
        for element in xml_stream(file, ("row", "mergeCell"), part=part):
            if local(element) == "mergeCell":
                merged += [element.get("ref") or ""] if len(merged) < _MERGED_MAX else []
                continue
            last = whole_number(element.get("r"), last + 1)
            row = SheetRow(last)
            for column, text in _row_texts(element, cells):
                row.texts[column] = text
            if row.texts:
                rows[last] = row
    for reference in merged:
        _repeat_down(rows, reference)
    return [rows[number] for number in sorted(rows)]


def _row_texts(row: Element, cells: Cells) -> Iterator[tuple[int, str]]:
    column = 0
    for cell in children(row, "c"):
        match = _REFERENCE.fullmatch(cell.get("r") or "")
        column = _column(match.group(1)) if match else column + 1
        # Most cells of a real sheet have a colour and nothing in them.
        if len(cell) and (text := cells.text(cell)):
            yield column, text


def _repeat_down(rows: dict[int, SheetRow], reference: str) -> None:
    match = _RANGE.fullmatch(reference)
    if match is None:
        return
    column, first, last = _column(match.group(1)), int(match.group(2)), int(match.group(4))
    text = rows[first].texts.get(column) if first in rows else None
    for number in range(first + 1, min(last, first + _MERGED_ROWS_MAX) + 1):
        # A row without anything else stays empty.
        if text and number in rows:
            rows[number].texts.setdefault(column, text)


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _shared_texts(package: Package, main: str) -> Iterator[str]:
    for part in package.related(main, "sharedStrings")[:1]:
        with package.zipped.open(part) as file:
            for element in xml_stream(file, ("si",), part=part):
                yield _rich_text(element)


def _rich_text(element: Element | None) -> str:
    """Return the text of all runs. What tells how to pronounce it is no part of it."""
    if element is None:
        return ""
    runs = [element, *children(element, "r")]
    return _unescaped("".join(text.text or "" for run in runs for text in children(run, "t")))


def _unescaped(text: str) -> str:
    """Return what Excel shows of signs that XML cannot hold: it writes "_x000D_" for a return."""
    if "_x" not in text:
        return text
    return _ESCAPED.sub(lambda match: chr(int(match.group(1), 16)), text)


def _formats(styles: Element | None) -> Iterator[str]:
    """Yield the number format of each cell style, in the order of their numbers."""
    own = {
        whole_number(attribute(it, "numFmtId")): attribute(it, "formatCode") or ""
        for it in children(child(styles, "numFmts"), "numFmt")
    }
    for it in children(child(styles, "cellXfs"), "xf"):
        number = whole_number(attribute(it, "numFmtId"))
        yield own.get(number) or BUILT_IN.get(number, "General")
