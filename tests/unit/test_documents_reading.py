"""Which parser reads a file, and the reasons for which none does."""

import pytest

from kotaemon_node.adapters.documents.reading import SUPPORTED_ENDINGS, parse_document
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import DocumentRefused

ZIP = b"PK\x03\x04\x14\x00\x06\x00"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.md", b"", "the file is empty"),
        ("a.md", b" \n\t\n", "no text"),
        ("a.md", "\u200b\u200b".encode(), "no text"),
        ("a.md", b"---\ntitle: only this\n---\n", "no text"),
        ("a.html", b"<script>only()</script>", "no text"),
        ("a.md", b"%PDF-1.7 ...", "it is a PDF, although its name ends in .md"),
        ("a.txt", ZIP, "ZIP archive or an Office document"),
        ("a.csv", b"\x89PNG\r\n\x1a\n\x00", "a PNG image"),
        ("a.txt", b"\x7fELF\x02\x01", "a program"),
        ("a.txt", b"abc\x00\x01\x02def", "a binary file"),
        ("a.pdf", b"%PDF-1.7", r"\.pdf files are not supported yet; supported are \.md, "),
        ("a.docx", ZIP, r"\.docx files are not supported yet"),
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


@pytest.mark.parametrize("ending", SUPPORTED_ENDINGS)
def test_each_supported_ending_is_read_in_either_case(ending: str) -> None:
    assert "hello" in parse_document(f"x/y{ending.upper()}", b"a,b\nhello,c\n").text()


def test_a_page_under_another_name_is_still_a_page() -> None:
    page = b"<?xml version='1.0'?>\n<!-- c --><!DOCTYPE html><html><body><p>Hi.</p></body></html>"
    assert parse_document("a.txt", page).text() == "Hi."


def test_many_comments_before_a_page_take_no_exponential_time() -> None:
    assert "x" in parse_document("a.txt", b"<!---->" * 500 + b"x").text()


def test_the_canonical_text_is_its_blocks_and_their_places_are_known() -> None:
    document = parse_document("a.md", "# 题\n\n一 𠮷。\n\n| a | b |\n|---|---|\n| 1 | 2 |".encode())
    text = document.text()
    for start, block in zip(document.starts(), document.blocks, strict=True):
        assert text[start : start + len(block.text)] == block.text
