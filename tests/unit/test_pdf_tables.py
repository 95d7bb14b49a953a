"""Tables of a PDF: ruled ones, and those that are only set below each other."""

import pytest

from kotaemon_node.adapters.documents.parsed import Block
from kotaemon_node.adapters.documents.pdf import parse_pdf
from kotaemon_node.domain import limits
from tests.fakes.pdf_pages import Page, pdf

COLUMNS = (100, 220, 340, 460)


def grid(page: Page, *, top: float, rows: int) -> Page:
    bottom = top - 20 * rows
    for x in COLUMNS:
        page.rule(x, bottom, x, top)
    for row in range(rows + 1):
        page.rule(COLUMNS[0], top - 20 * row, COLUMNS[-1], top - 20 * row)
    return page


def filled(page: Page, rows: list[list[str]], *, top: float) -> Page:
    for number, row in enumerate(rows):
        for x, text in zip(COLUMNS, row, strict=False):
            page.text(x + 4, top - 14 - 20 * number, text, size=8)
    return page


def tables(*pages: Page) -> list[Block]:
    parsed = parse_pdf(pdf(*pages), name="a")
    return [block for block in parsed.blocks if block.kind == "table"]


ROWS = [["City", "Days", "Cost"], ["Bonn", "2", "4.90"], ["Ulm", "3", "5.90"]]
LINES = ["| City | Days | Cost |", "| Bonn | 2 | 4.90 |", "| Ulm | 3 | 5.90 |"]


def test_a_ruled_table_is_rows_of_cells_under_its_header() -> None:
    (table,) = tables(filled(grid(Page(), top=700, rows=3), ROWS, top=700))
    assert table.text == "\n".join(LINES)
    assert table.header == LINES[0]


def test_text_around_a_ruled_table_stays_before_and_behind_it() -> None:
    page = Page().text(72, 730, "What it costs:").text(72, 600, "All with tax.")
    parsed = parse_pdf(pdf(filled(grid(page, top=700, rows=3), ROWS, top=700)), name="a")
    assert [block.text.split("\n")[0] for block in parsed.blocks] == [
        "What it costs:",
        LINES[0],
        "All with tax.",
    ]


def test_text_and_tables_beside_a_table_are_kept() -> None:
    page = grid(Page(), top=700, rows=3).text(20, 664, "Beside").text(480, 664, "it")
    parsed = parse_pdf(pdf(filled(page, ROWS, top=700)), name="a")
    assert [block.text for block in parsed.blocks] == ["\n".join(LINES), "Beside it"]


def test_a_cell_of_several_lines_is_one_cell_and_one_that_spans_rows_is_in_each() -> None:
    page = Page()
    for x in COLUMNS:
        page.rule(x, 640, x, 700)
    for y in (700, 680, 640):
        page.rule(COLUMNS[0], y, COLUMNS[-1], y)
    page.rule(COLUMNS[1], 660, COLUMNS[-1], 660)  # not through the first column
    page = filled(page, [ROWS[0], ["Bonn", "2", "4.90"], ["and Ulm", "3", "5.90"]], top=700)
    (table,) = tables(page)
    assert table.text.split("\n")[1:] == [
        "| Bonn and Ulm | 2 | 4.90 |",
        "| Bonn and Ulm | 3 | 5.90 |",
    ]


def test_rows_without_a_line_between_them_are_rows() -> None:
    page = Page()
    for x in COLUMNS:
        page.rule(x, 640, x, 700)
    for y in (700, 680, 640):
        page.rule(COLUMNS[0], y, COLUMNS[-1], y)
    (table,) = tables(filled(page, ROWS, top=700))
    assert table.text == "\n".join(LINES)


def test_a_table_goes_on_over_the_end_of_a_page_and_its_header_is_told_once() -> None:
    first = filled(grid(Page(), top=120, rows=3), ROWS, top=120)
    second = filled(grid(Page(), top=700, rows=2), [ROWS[0], ["Jena", "4", "6.90"]], top=700)
    (table,) = tables(first, second)
    assert table.text == "\n".join([*LINES, "| Jena | 4 | 6.90 |"])
    assert table.page_at(table.text.index("Ulm")) == 1
    assert table.page_at(table.text.index("Jena")) == 2


def test_a_frame_around_a_paragraph_is_no_table() -> None:
    page = Page().rule(60, 600, 400, 600).rule(60, 720, 400, 720)
    page.rule(60, 600, 60, 720).rule(400, 600, 400, 720).text(72, 700, "Mind the gap.")
    assert tables(page) == []


def test_a_drawing_of_many_lines_is_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PDF_PAGE_OBJECTS_MAX", 3)
    parsed = parse_pdf(pdf(filled(grid(Page(), top=700, rows=3), ROWS, top=700)), name="a")
    assert "Bonn" in parsed.text()


def report() -> Page:
    """Return a page of a financial report: labels, figures flush right, a header of two lines."""
    page = Page().text(330, 700, "Three Months Ended", size=8)
    page.text(325, 690, "June 2022", size=8).text(385, 690, "June 2021", size=8)
    page.text(72, 676, "Net sales:", size=8)
    for number, (label, one, other) in enumerate(
        [
            ("Products", "63,355", "63,948"),
            ("Services", "19,604", "17,486"),
            ("Total", "82,959", "81,434"),
        ]
    ):
        y = 666 - 10 * number
        page.text(80, y, label, size=8).text(340, y, one, size=8).text(400, y, other, size=8)
        page.text(325, y, "$", size=8).text(385, y, "$", size=8)
    page.text(72, 636, "Loss of all that was not sold, and what", size=8)
    page.text(72, 626, "is left", size=8).text(340, 626, "(10", size=8).text(356, 626, ")", size=8)
    return page.text(400, 626, "3", size=8).text(405, 626, "%", size=8)


def test_figures_below_each_other_are_a_table_with_the_headings_over_its_columns() -> None:
    (table,) = tables(report())
    assert table.text.split("\n") == [
        "|  | Three Months Ended June 2022 | Three Months Ended June 2021 |",
        "| Net sales: |  |  |",
        "| Products | $63,355 | $63,948 |",
        "| Services | $19,604 | $17,486 |",
        "| Total | $82,959 | $81,434 |",
        "| Loss of all that was not sold, and what is left | (10) | 3% |",
    ]
    assert table.header == "|  | Three Months Ended June 2022 | Three Months Ended June 2021 |"


def test_items_with_their_marks_far_ahead_are_no_table() -> None:
    page = Page()
    for number in range(5):
        page.text(72, 700 - 12 * number, "\u2022").text(100, 700 - 12 * number, f"Item {number}")
    assert tables(page) == []


def test_two_columns_of_prose_are_no_table() -> None:
    page = Page()
    for number in range(8):
        page.text(72, 700 - 12 * number, "a line of the left column of words", size=9)
        page.text(330, 700 - 12 * number, "a line of the right column of words", size=9)
    assert tables(page) == []
