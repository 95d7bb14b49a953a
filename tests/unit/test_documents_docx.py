"""What of a Word document becomes text, and as which blocks."""

import io
from typing import Any

import docx as python_docx
import pytest

from kotaemon_node.adapters.documents.parsed import Block, ParsedDocument
from kotaemon_node.adapters.documents.reading import parse_document
from kotaemon_node.domain.errors import DocumentRefused
from tests.office_files import WORD_TYPE, docx, office

MATH = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
DRAWING = 'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape"'


def saved(document: Any) -> ParsedDocument:
    file = io.BytesIO()
    document.save(file)
    return parse_document("guides/wall-lamps.docx", file.getvalue())


def parsed(body: str, parts: dict[str, str] | None = None) -> ParsedDocument:
    return parse_document("guides/wall-lamps.docx", docx(body, parts))


def paragraph(text: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def row(*cells: str, properties: str = "") -> str:
    inside = "".join(f"<w:tc>{cell}</w:tc>" for cell in cells)
    return f"<w:tr><w:trPr>{properties}</w:trPr>{inside}</w:tr>"


def test_headings_lists_and_tables_of_a_written_document() -> None:
    document = python_docx.Document()
    document.add_heading("Wall lamps", 0)
    document.add_heading("安装", 1)
    document.add_paragraph("Switch the power off.")
    document.add_paragraph("Drill", style="List Bullet")
    document.add_paragraph("Screw", style="List Bullet")
    document.add_heading("Prices", 1)
    table = document.add_table(2, 2)
    for cell, text in zip(table._cells, ["Lamp", "Price", "Meteor", "20 €"], strict=True):
        cell.text = text
    document.sections[0].header.paragraphs[0].text = "Confidential"
    document.sections[0].footer.paragraphs[0].text = "Page 1"
    found = saved(document)
    assert found.title == "Wall lamps"
    assert found.blocks == (
        Block("heading", "Wall lamps"),
        Block("heading", "安装"),
        Block("text", "Switch the power off.", ("安装",)),
        Block("text", "• Drill\n• Screw", ("安装",)),
        Block("heading", "Prices"),
        Block(
            "table", "| Lamp | Price |\n| Meteor | 20 € |", ("Prices",), header="| Lamp | Price |"
        ),
    )


def test_a_heading_may_come_from_a_style_that_is_based_on_another() -> None:
    styles = (
        '<w:style w:styleId="a"><w:name w:val="heading 2"/></w:style>'
        '<w:style w:styleId="b"><w:name w:val="Ours"/><w:basedOn w:val="a"/></w:style>'
        '<w:style w:styleId="c"><w:name w:val="Loop"/><w:basedOn w:val="c"/></w:style>'
        '<w:style w:styleId="d"><w:name w:val="HTML Preformatted"/></w:style>'
        '<w:style w:styleId="e"><w:name w:val="toc 1"/></w:style>'
    )
    body = (
        paragraph("Contents 7", '<w:pStyle w:val="e"/>')
        + paragraph("Top", '<w:outlineLvl w:val="0"/>')
        + paragraph("Below", '<w:pStyle w:val="b"/>')
        + paragraph("Text", '<w:pStyle w:val="c"/><w:outlineLvl w:val="9"/>')
        + paragraph("a = 1", '<w:pStyle w:val="d"/>')
        + paragraph("b = 2", '<w:pStyle w:val="d"/>')
    )
    assert parsed(body, {"styles": styles}).blocks == (
        Block("heading", "Top"),
        Block("heading", "Below", ("Top",)),
        Block("text", "Text", ("Top", "Below")),
        Block("code", "a = 1\nb = 2", ("Top", "Below")),
    )


def test_of_tracked_changes_the_insertions_count_and_hidden_text_does_not() -> None:
    run = "<w:r><w:t>{}</w:t></w:r>"
    body = (
        "<w:p><w:r><w:t>It costs </w:t></w:r>"
        "<w:del><w:r><w:delText>10</w:delText></w:r></w:del>"
        f"<w:ins>{run.format('20')}</w:ins>"
        "<w:r><w:rPr><w:vanish/></w:rPr><w:t> (not really)</w:t></w:r>"
        '<w:r><w:rPr><w:vanish w:val="0"/></w:rPr><w:t> euros.</w:t></w:r>'
        "<w:r><w:instrText>PAGE</w:instrText></w:r></w:p>"
        f"<w:moveFrom><w:p>{run.format('moved away')}</w:p></w:moveFrom>"
        f"<w:ins><w:p>{run.format('A new paragraph.')}</w:p></w:ins>"
        '<w:altChunk r:id="x" xmlns:r="y"/>'
    )
    assert parsed(body).text() == "It costs 20 euros.\n\nA new paragraph."


def test_numbers_of_lists_are_counted_as_word_does() -> None:
    level = (
        '<w:lvl w:ilvl="{}"><w:start w:val="1"/><w:numFmt w:val="{}"/>'
        '<w:lvlText w:val="{}"/></w:lvl>'
    )
    numbering = (
        '<w:abstractNum w:abstractNumId="0">'
        + level.format(0, "decimal", "%1.")
        + level.format(1, "lowerLetter", "%1.%2)")
        + '</w:abstractNum><w:abstractNum w:abstractNumId="1">'
        + level.format(0, "chineseCounting", "第%1条")
        + '</w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
        '<w:num w:numId="2"><w:abstractNumId w:val="1"/></w:num>'
        '<w:num w:numId="3"><w:abstractNumId w:val="0"/><w:lvlOverride w:ilvl="0">'
        '<w:startOverride w:val="7"/></w:lvlOverride></w:num>'
    )

    def item(text: str, number: int, level: int = 0) -> str:
        return paragraph(
            text, f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'
        )

    body = item("A", 1) + item("B", 1, 1) + item("C", 1, 1) + item("D", 1) + item("E", 1, 1)
    body += paragraph("Between.") + item("F", 3) + item("G", 1) + item("没有", 9)
    body += "".join(item("条款", 2) for _ in range(11))
    blocks = parsed(body, {"numbering": numbering}).blocks
    assert blocks[0].text == "1. A\n  1.a) B\n  1.b) C\n2. D\n  2.a) E"
    assert blocks[2].text.splitlines()[:3] == ["7. F", "3. G", "没有"]
    assert blocks[2].text.splitlines()[-1] == "第十一条 条款"


def test_a_merged_cell_is_repeated_and_a_table_of_one_column_is_a_frame() -> None:
    begins, goes_on = '<w:tcPr><w:vMerge w:val="restart"/></w:tcPr>', "<w:tcPr><w:vMerge/></w:tcPr>"
    wide = '<w:tcPr><w:gridSpan w:val="2"/></w:tcPr>'
    inner = f"<w:tbl>{row(paragraph('x'), paragraph('y'))}</w:tbl>"
    body = (
        "<w:tbl>"
        + row(begins + paragraph("Meteor"), paragraph("20"))
        + row(goes_on + paragraph(""), paragraph("30"))
        + row(wide + paragraph("wide"), inner)
        + row(paragraph("gone"), paragraph("gone"), properties="<w:del/>")
        + "</w:tbl><w:tbl>"
        + row(paragraph("Framed.") + paragraph("Twice."))
        + "</w:tbl>"
    )
    assert [(it.kind, it.text) for it in parsed(body).blocks] == [
        ("table", "| Meteor | 20 |\n| Meteor | 30 |\n| wide | x, y |"),
        ("text", "Framed."),
        ("text", "Twice."),
    ]


def test_a_table_of_questions_is_an_faq() -> None:
    body = "<w:tbl>" + row(paragraph("问题"), paragraph("答案"))
    body += row(paragraph("多少钱？"), paragraph("二十。")) + "</w:tbl>"
    assert parsed(body).blocks == (Block("faq", "多少钱？\n二十。"),)


def test_notes_stand_below_the_paragraph_that_mentions_them() -> None:
    body = (
        "<w:p><w:r><w:t>It is free</w:t></w:r>"
        '<w:r><w:footnoteReference w:id="2"/></w:r><w:r><w:t>.</w:t></w:r></w:p>'
        + paragraph("Next.")
        + '<w:p><w:r><w:t>End</w:t><w:footnoteReference w:id="3"/></w:r></w:p>'
    )
    notes = "".join(
        f'<w:footnote w:id="{number}">{paragraph(text)}</w:footnote>'
        for number, text in ((2, "For members."), (3, "Really."))
    )
    text = parsed(body, {"footnotes": notes}).text()
    assert text == "It is free [1].\n\n[1] For members.\n\nNext.\n\nEnd [2]\n\n[2] Really."


def test_text_boxes_are_read_once() -> None:
    box = f"<w:txbxContent>{paragraph('In a box.')}</w:txbxContent>"
    both = (
        '<mc:AlternateContent xmlns:mc="m"><mc:Choice>'
        f"<w:drawing><wps:txbx {DRAWING}>{box}</wps:txbx></w:drawing></mc:Choice>"
        f'<mc:Fallback><w:pict><v:textbox xmlns:v="v">{box}</v:textbox></w:pict></mc:Fallback>'
        "</mc:AlternateContent>"
    )
    text = parsed(f"<w:p><w:r><w:t>Before.</w:t></w:r><w:r>{both}</w:r></w:p>").text()
    assert text == "Before.\n\nIn a box."


def test_formulas_become_a_line_that_can_be_read() -> None:
    def run(text: str) -> str:
        return f"<m:r><m:t>{text}</m:t></m:r>"

    power = f"<m:sSup><m:e>{run('r')}</m:e><m:sup>{run('2')}</m:sup></m:sSup>"
    half = f"<m:f><m:num>{run('a+b')}</m:num><m:den>{run('2')}</m:den></m:f>"
    body = f"<w:p><m:oMath {MATH}>{run('A=π')}{power}{run(', x=')}{half}</m:oMath></w:p>"
    assert parsed(body).text() == "A=πr^2, x=(a+b)/2"


def test_a_document_of_the_strict_kind_is_read() -> None:
    strict = "http://purl.oclc.org/ooxml/wordprocessingml/main"
    xml = f'<w:document xmlns:w="{strict}"><w:body>{paragraph("Strict.")}</w:body></w:document>'
    content = office("word/document.xml", WORD_TYPE, {"word/document.xml": xml.encode()})
    assert parse_document("a.docx", content).text() == "Strict."


@pytest.mark.parametrize("body", ["", paragraph(""), "<w:sectPr/>"])
def test_a_document_without_text_is_refused(body: str) -> None:
    with pytest.raises(DocumentRefused, match="no text"):
        parsed(body)
