"""Which parser reads a file, and the reasons for which none does."""

import pytest

from kotaemon_node.adapters.documents.endings import SUPPORTED_ENDINGS
from kotaemon_node.adapters.documents.reading import parse_document
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import DocumentRefused
from kotaemon_node.domain.faq_entries import FAQ_ENDING
from tests.office_files import archive, docx, office

ZIP = b"PK\x03\x04\x14\x00\x06\x00"
COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
ODT = b"application/vnd.oasis.opendocument.text"
XLSB = "application/vnd.ms-excel.sheet.binary.macroEnabled.main"
BINARY = {".pdf", ".docx", ".pptx", ".xlsx", ".epub"}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.md", b"", "the file is empty"),
        ("a.md", b" \n\t\n", "no text"),
        ("a.md", "\u200b\u200b".encode(), "no text"),
        ("a.md", b"---\ntitle: only this\n---\n", "no text"),
        ("a.html", b"<script>only()</script>", "no text"),
        ("a.txt", ZIP, "it is damaged: it begins as a ZIP file and is none"),
        ("a.docx", ZIP, "it is damaged: it begins as a ZIP file and is none"),
        ("a.zip", archive({"a.txt": b"hello"}), "it is a ZIP archive; unpack it"),
        ("a.odt", archive({"mimetype": ODT}), r"OpenDocument text \(\.odt\); save it as \.docx"),
        ("a.xlsb", office("xl/workbook.bin", XLSB), r"binary Excel workbook \(\.xlsb\)"),
        ("a.vsdx", office("visio/document.xml", "application/vnd.ms-visio"), "not supported"),
        ("a.doc", COMPOUND + "WordDocument".encode("utf-16-le"), r"\(\.doc\); save it as \.docx"),
        ("a.docx", COMPOUND + "EncryptedPackage".encode("utf-16-le"), "needs a password"),
        ("a.xls", COMPOUND + "Workbook".encode("utf-16-le"), r"save it as \.xlsx"),
        ("a.rtf", b"{\\rtf1 hello}", r"rich text \(RTF\) document; save it as \.docx"),
        ("a.md", b"\xef\xbb\xbf%PDF-1.7 ...", "the PDF is broken"),
        ("a.pdf", b"Not found\n", r"its name ends in \.pdf, but it is not a PDF"),
        ("a.docx", b"hello", r"its name ends in \.docx, but it is not a Word document"),
        ("a.eml", b"Subject: hello", r"\.eml files are not supported; supported are \.pdf, "),
        ("a.ppt", b"hello", r"\.ppt files are not supported; save it as \.pptx"),
        ("a.csv", b"\x89PNG\r\n\x1a\n\x00", "a PNG image"),
        ("a.txt", b"\x7fELF\x02\x01", "a program"),
        ("a.txt", b"abc\x00\x01\x02def", "a binary file"),
        ("LICENSE", b"text", "the file name has no ending; supported are"),
        (".md", b"text", "no ending"),
    ],
)
def test_a_refusal_tells_its_owner_why(name: str, content: bytes, reason: str) -> None:
    with pytest.raises(DocumentRefused, match=reason):
        parse_document(name, content)


def test_sizes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DOCUMENT_BYTES_MAX", 2 * 1024 * 1024)
    with pytest.raises(DocumentRefused, match="has 3 MB, the limit is 2 MB"):
        parse_document("a.txt", b"a" * (3 * 1024 * 1024))
    monkeypatch.setattr(limits, "DOCUMENT_CHARS_MAX", 1_000)
    with pytest.raises(DocumentRefused, match="limit of 1,000 characters"):
        parse_document("a.txt", b"a" * 1_001)


@pytest.mark.parametrize(
    "ending", [it for it in SUPPORTED_ENDINGS if it not in BINARY | {FAQ_ENDING}]
)
def test_each_supported_ending_is_read_in_either_case(ending: str) -> None:
    assert "hello" in parse_document(f"x/y{ending.upper()}", b"a,b\nhello,c\n").text()


def test_a_page_under_another_name_is_still_a_page() -> None:
    page = b"<?xml version='1.0'?>\n<!-- c --><!DOCTYPE html><html><body><p>Hi.</p></body></html>"
    assert parse_document("a.txt", page).text() == "Hi."


@pytest.mark.parametrize("name", ["a.doc", "a.txt", "a.pdf", "a"])
def test_what_a_file_is_counts_and_not_its_name(name: str) -> None:
    page = b"<!doctype html><html><body><p>Hi.</p></body></html>"
    assert parse_document(name, b"\xef\xbb\xbf" + page).text() == "Hi."
    assert parse_document(name, docx("<w:p><w:r><w:t>Hi.</w:t></w:r></w:p>")).text() == "Hi."


def test_many_comments_before_a_page_take_no_exponential_time() -> None:
    assert "x" in parse_document("a.txt", b"<!---->" * 500 + b"x").text()


def test_the_canonical_text_is_its_blocks_and_their_places_are_known() -> None:
    document = parse_document("a.md", "# 题\n\n一 𠮷。\n\n| a | b |\n|---|---|\n| 1 | 2 |".encode())
    text = document.text()
    for start, block in zip(document.starts(), document.blocks, strict=True):
        assert text[start : start + len(block.text)] == block.text


@pytest.mark.parametrize("ending", sorted(set(SUPPORTED_ENDINGS) - BINARY))
def test_each_ending_that_is_promised_has_its_parser(ending: str) -> None:
    text = '{"question": "Why?", "answer": "So."}' if ending == FAQ_ENDING else "a,b\n1,2\n"

    assert parse_document(f"a{ending}", text.encode()).text
