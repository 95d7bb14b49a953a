"""Tables of an HTML page: which of them hold data, and their cells."""

from typing import Final

from bs4.element import Tag

from kotaemon_node.adapters.documents.html_shown import hidden, shown_text
from kotaemon_node.adapters.documents.visible import one_line

# A table around any of these arranges the page; it is no table of values.
_LAYOUT_SIGNS: Final = ("table", "h1", "h2", "h3", "h4", "ul", "ol", "pre", "form")
_ROW_SPAN_MAX: Final = 1_000


def is_data_table(table: Tag) -> bool:
    """Tell a table of values from one that arranges the page."""
    if table.find(_LAYOUT_SIGNS) is not None:
        return False
    return any(len(_cells(row)) > 1 for row in _rows(table))


def table_rows(table: Tag) -> tuple[list[list[str]], bool]:
    """Return the rows of cells, and whether the first row names the columns.

    A cell that spans rows is repeated in each, so that every row can be understood alone.
    """
    rows = _rows(table)
    result: list[list[str]] = []
    spanning: dict[int, tuple[int, str]] = {}
    for row in rows:
        cells = iter(_cells(row))
        texts: list[str] = []
        while True:
            column = len(texts)
            if column in spanning:
                left, text = spanning.pop(column)
                if left > 1:
                    spanning[column] = (left - 1, text)
                texts.append(text)
                continue
            cell = next(cells, None)
            if cell is None:
                break
            texts.append(shown_text(cell))
            if (span := _row_span(cell)) > 1:
                spanning[column] = (span - 1, texts[-1])
        result.append(texts)
    return result, bool(rows) and _names_columns(rows[0])


def caption_of(table: Tag) -> str:
    """Return what stands above or below a table as its name, or ""."""
    caption = table.find("caption", recursive=False)
    if not isinstance(caption, Tag) or hidden(caption):
        return ""
    return one_line(shown_text(caption))


def _rows(table: Tag) -> list[Tag]:
    return [
        row
        for row in table.find_all("tr")
        if not hidden(row) and not (row.parent is not None and hidden(row.parent))
    ]


def _cells(row: Tag) -> list[Tag]:
    return [cell for cell in row.find_all(["td", "th"], recursive=False) if not hidden(cell)]


def _names_columns(row: Tag) -> bool:
    cells = _cells(row)
    return (row.parent is not None and row.parent.name == "thead") or (
        bool(cells) and all(cell.name == "th" for cell in cells)
    )


def _row_span(cell: Tag) -> int:
    text = str(cell.get("rowspan") or "1")
    return min(int(text), _ROW_SPAN_MAX) if text.isascii() and text.isdigit() else 1
