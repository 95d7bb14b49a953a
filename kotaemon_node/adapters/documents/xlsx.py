"""XLSX to blocks: each sheet is a section; what stands together on it is a table.

Values are shown as their cells show them, formulas by the values kept with them. Sheets that the
author hid are left out.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Final

from kotaemon_node.adapters.documents.charts import add_charts
from kotaemon_node.adapters.documents.ooxml import Package, Relationship
from kotaemon_node.adapters.documents.parsed import Outline, ParsedDocument
from kotaemon_node.adapters.documents.tabular import Row, add_rows, names_columns
from kotaemon_node.adapters.documents.xlsx_cells import Cells, SheetRow, read_cells
from kotaemon_node.adapters.documents.xml_trees import (
    Element,
    attribute,
    child,
    children,
    descendants,
)

# Where cells lie scattered, a full grid of them would be mostly blank and endless.
_GRID_PER_CELL_MAX: Final = 8
_GRID_CELLS_MIN: Final = 10_000
_LABEL_CHARS_MAX: Final = 100
_TABLES_BESIDE_MAX: Final = 10


def parse_xlsx(package: Package, *, name: str) -> ParsedDocument:
    """Return the document; its title is ``name``. Raises ``DocumentRefused`` with the reason."""
    main = package.main()
    workbook = package.tree(main)
    cells = Cells(package, main, workbook)
    outline = Outline()
    for number, sheet in enumerate(children(child(workbook, "sheets"), "sheet"), 1):
        # The element has two ids; that of the relationship is in a namespace.
        reference = next((v for k, v in sheet.attrib.items() if k.endswith("}id")), None)
        found = package.target(main, reference)
        if found is None or attribute(sheet, "state") in {"hidden", "veryHidden"}:
            continue
        outline.page = number
        outline.leave()
        _Sheet(outline, package, found).read(attribute(sheet, "name") or "", cells)
    return outline.document(name)


class _Sheet:
    def __init__(self, outline: Outline, package: Package, found: Relationship) -> None:
        self._outline = outline
        self._package = package
        self._found = found

    def read(self, title: str, cells: Cells) -> None:
        rows: Sequence[SheetRow] = ()
        if self._found.kind == "worksheet":
            rows = read_cells(self._package, self._found.part, cells)
        drawings = self._package.related(self._found.part, "drawing")
        if not rows and not drawings:
            return
        self._outline.heading(1, title)
        for region in _regions(rows):
            for table in _side_by_side(region):
                self._region(table)
        for drawing in drawings:
            self._drawing(drawing)

    def _region(self, region: Sequence[SheetRow]) -> None:
        """Add rows that stand together. A single cell above them is what they are about."""
        rest = list(region)
        while rest and len(rest[0].texts) == 1:
            text = next(iter(rest[0].texts.values()))
            if len(rest) > 1 and len(rest[1].texts) == 1:
                break
            rest.pop(0)
            if rest and len(text) <= _LABEL_CHARS_MAX and "\n" not in text:
                self._outline.heading(2, text)
            else:
                self._outline.add("text", text)
        rows = _grid(rest)
        if rows and all(len(row) == 1 for row in rows):
            self._outline.add("text", "\n".join(row[0] for row in rows))
        elif rows:
            add_rows(self._outline, rows, has_header=names_columns(rows))

    def _drawing(self, part: str) -> None:
        root: Element = self._package.tree(part)
        for shape in descendants(root, "sp"):
            lines = (
                "".join(text.text or "" for text in descendants(paragraph, "t"))
                for paragraph in descendants(shape, "p")
            )
            self._outline.add("text", "\n".join(line for line in lines if line.strip()))
        add_charts(self._outline, self._package, part)


def _regions(rows: Sequence[SheetRow]) -> list[list[SheetRow]]:
    """Cut at empty rows."""
    regions: list[list[SheetRow]] = []
    for row in rows:
        if regions and row.number == regions[-1][-1].number + 1:
            regions[-1].append(row)
        else:
            regions.append([row])
    return regions


def _side_by_side(region: list[SheetRow]) -> list[list[SheetRow]]:
    """Cut at empty columns where each part is a table of its own, on rows of its own.

    A form keeps its rows whole, whatever blank columns space it out.
    """
    columns = sorted({column for row in region for column in row.texts})
    gaps = [right for left, right in pairwise(columns) if right > left + 1]
    if not gaps or len(gaps) > _TABLES_BESIDE_MAX:
        return [region]
    parts: list[list[SheetRow]] = []
    for left, right in pairwise([0, *gaps, columns[-1] + 1]):
        rows = (
            SheetRow(row.number, {at: row.texts[at] for at in row.texts if left <= at < right})
            for row in region
        )
        parts.append([row for row in rows if row.texts])
    ranges = {(part[0].number, part[-1].number) for part in parts}
    alone = len(ranges) == len(parts) and all(names_columns(_grid(part)) for part in parts)
    return parts if alone else [region]


def _grid(rows: Sequence[SheetRow]) -> list[Row]:
    """Return the rows with one column under the other, without columns that are empty."""
    columns = sorted({column for row in rows for column in row.texts})
    filled = sum(len(row.texts) for row in rows)
    if len(columns) * len(rows) > max(_GRID_CELLS_MIN, _GRID_PER_CELL_MAX * filled):
        return [list(_in_order(row.texts).values()) for row in rows]
    return [[row.texts.get(column, "") for column in columns] for row in rows]


def _in_order(texts: Mapping[int, str]) -> Mapping[int, str]:
    return dict(sorted(texts.items()))
