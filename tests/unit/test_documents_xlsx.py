"""What of a workbook becomes text: sheets as sections, what stands together as a table."""

import datetime
import io
from typing import Any

import pytest
from openpyxl import Workbook
from openpyxl.chart import BarChart, Reference

from kotaemon_node.adapters.documents.parsed import Block, ParsedDocument
from kotaemon_node.adapters.documents.reading import parse_document
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import DocumentRefused
from tests.office_files import office, relationships

BOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
NAMES = (
    'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
)


def saved(workbook: Workbook) -> ParsedDocument:
    file = io.BytesIO()
    workbook.save(file)
    return parse_document("prices/wall-lamps.xlsx", file.getvalue())


def sheet(workbook: Workbook, title: str, rows: list[list[Any]]) -> Any:
    made = workbook.active if workbook.active.title == "Sheet" else workbook.create_sheet()
    made.title = title
    for row in rows:
        made.append(row)
    return made


def raw(rows: str, *, shared: str = "", after: str = "") -> ParsedDocument:
    """Parse a sheet that no library would write."""
    book = f'<workbook {NAMES}><sheets><sheet name="S" r:id="rId1"/></sheets></workbook>'
    parts = {
        "xl/workbook.xml": book.encode(),
        "xl/_rels/workbook.xml.rels": relationships(
            {"worksheet": "s.xml", "sharedStrings": "t.xml"}
        ),
        "xl/s.xml": f"<worksheet {NAMES}><sheetData>{rows}</sheetData>{after}</worksheet>".encode(),
        "xl/t.xml": f"<sst {NAMES}>{shared}</sst>".encode(),
    }
    return parse_document("a.xlsx", office("xl/workbook.xml", BOOK, parts))


def test_each_sheet_is_a_section_and_labels_stand_above_their_tables() -> None:
    workbook = Workbook()
    sheet(
        workbook,
        "Prices",
        [["Indoor lamps"], [], ["Lamp", "Price"], ["Meteor", 20], [], ["All with tax."]],
    )
    sheet(workbook, "库存", [["型号", "数量"], ["流星", 3]])
    sheet(workbook, "Secret", [["a", "b"]]).sheet_state = "hidden"
    found = saved(workbook)
    assert found.title == "wall lamps"
    assert found.blocks == (
        Block("heading", "Prices", page=1),
        Block("text", "Indoor lamps", ("Prices",), page=1),
        Block("table", "| Lamp | Price |\n| Meteor | 20 |", ("Prices",), 1, "| Lamp | Price |"),
        Block("text", "All with tax.", ("Prices",), page=1),
        Block("heading", "库存", page=2),
        Block("table", "| 型号 | 数量 |\n| 流星 | 3 |", ("库存",), 2, "| 型号 | 数量 |"),
    )


def test_values_are_shown_as_their_cells_show_them() -> None:
    workbook = Workbook()
    day = datetime.datetime.fromisoformat("2024-03-05 14:07")
    made = sheet(workbook, "S", [["a", day, day, 0.125, 1234.5, True, "=1+1", day.time()]])
    for cell, shown in zip(
        made[1][1:5], ["yyyy-mm-dd", 'yyyy"年"m"月"d"日"', "0.0%", '#,##0.00 "€"'], strict=True
    ):
        cell.number_format = shown
    table = saved(workbook).blocks[1].text
    assert table == "| a | 2024-03-05 | 2024年3月5日 | 12.5% | 1,234.50 € | TRUE | 14:07:00 |"


def test_a_table_of_questions_is_an_faq_with_what_else_is_told() -> None:
    workbook = Workbook()
    rows = [["No", "Question", "Answer", "Tags", "Since"], [1, "How much?", "20.", "price", 2024]]
    sheet(workbook, "FAQ", rows)
    assert saved(workbook).blocks[1:] == (
        Block("faq", "How much?\n20.\nSince: 2024", ("price",), page=1),
    )


def test_tables_beside_each_other_are_kept_apart_and_rows_of_a_form_together() -> None:
    workbook = Workbook()
    beside: list[list[Any]] = [["a", "b", None, None, None], [1, 2, None, "c", "d"]]
    sheet(workbook, "Beside", [*beside, [3, 4, None, 5, 6]])
    sheet(workbook, "Form", [["Name", None, "Meteor"], ["Price", None, 20]])
    assert [it.text for it in saved(workbook).blocks if it.kind == "table"] == [
        "| a | b |\n| 1 | 2 |\n| 3 | 4 |",
        "| c | d |\n| 5 | 6 |",
        "| Name | Meteor |\n| Price | 20 |",
    ]


def test_a_cell_that_was_merged_downwards_is_repeated() -> None:
    workbook = Workbook()
    made = sheet(workbook, "S", [["Meteor", 1], [None, 2], ["Comet", 3]])
    made.merge_cells("A1:A2")
    assert saved(workbook).blocks[1].text == "| Meteor | 1 |\n| Meteor | 2 |\n| Comet | 3 |"


def test_a_chart_is_the_table_that_it_draws() -> None:
    workbook = Workbook()
    made = sheet(workbook, "S", [["Year", "Lamps"], [2023, 3]])
    chart = BarChart()
    chart.title = "Sold"
    chart.add_data(Reference(made, min_col=2, min_row=1, max_row=2), titles_from_data=True)
    made.add_chart(chart, "D1")
    assert "Sold" in saved(workbook).text()


def test_cells_without_an_address_and_texts_in_runs_are_read() -> None:
    shared = "<si><r><t>Me</t></r><r><t>teor</t></r><rPh><t>mi</t></rPh></si>"
    rows = (
        '<row><c t="s"><v>0</v></c><c t="s"><v>7</v></c>'
        '<c t="inlineStr"><is><t>x</t></is></c></row>'
        '<row r="bad"><c r="?"><v>1</v></c><c t="str"><v>two</v></c><c><v>1e999</v></c></row>'
        '<row r="3"><c r="A3"><f>1+1</f></c><c r="B3" t="d"><v>2024-03-05T00:00:00</v></c></row>'
    )
    text = raw(rows, shared=shared).blocks[1].text
    assert text == "| Meteor |  | x |\n| 1 | two | 1e999 |\n|  | 2024-03-05 |  |"


def test_cells_scattered_over_an_endless_sheet_are_no_endless_table() -> None:
    column = ["A", "ZZ", "XFD"]
    rows = "".join(
        f'<row r="{at + 1}"><c r="{column[at % 3]}{at + 1}"><v>{at}</v></c>'
        f'<c r="{chr(65 + at % 26)}{chr(65 + at // 26 % 26)}{at + 1}"><v>{at}</v></c></row>'
        for at in range(2_000)
    )
    rows += '<row r="1048576"><c r="XFD1048576"><v>9</v></c></row>'
    merged = '<mergeCells><mergeCell ref="A1:XFD1048576"/><mergeCell ref="B9"/></mergeCells>'
    assert len(raw(rows, after=merged).text()) < 50_000


def test_a_sheet_of_too_many_cells_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f"<row><c><v>{at}</v></c></row>" for at in range(11))
    assert len(raw(rows).blocks[1].text.splitlines()) == 11
    monkeypatch.setattr(limits, "SHEET_CELLS_MAX", 10)
    with pytest.raises(DocumentRefused, match="more than 10 filled cells"):
        raw(rows)


def test_one_text_in_many_cells_does_not_unfold_without_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "DOCUMENT_CHARS_MAX", 10_000)
    rows = '<row><c t="s"><v>0</v></c></row>' * 100
    with pytest.raises(DocumentRefused, match="limit of 10,000 characters"):
        raw(rows, shared=f"<si><t>{'a' * 1_000}</t></si>")


def test_signs_that_xml_cannot_hold_are_shown_as_excel_shows_them() -> None:
    shared = "<si><t>one_x000D_\ntwo</t></si><si><t>_x005F_x000D_ a_x_b</t></si>"
    rows = '<row><c t="s"><v>0</v></c><c t="s"><v>1</v></c><c t="str"><v>x_x0009_y</v></c></row>'
    (_, table) = raw(rows, shared=shared).blocks
    assert table.text == "| one two | _x000D_ a_x_b | x y |"
