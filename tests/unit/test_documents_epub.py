"""What of a book becomes text: its chapters in the order of its spine."""

from urllib.parse import quote

import pytest

from kotaemon_node.adapters.documents.parsed import Block, ParsedDocument
from kotaemon_node.adapters.documents.reading import parse_document
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import DocumentRefused
from tests.office_files import archive

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OPS/book.opf"/></rootfiles></container>'
)
PAGE = '<?xml version="1.0"?><html><head>{}</head><body>{}</body></html>'
XHTML = "application/xhtml+xml"


def book(
    chapters: dict[str, str], *, order: list[str] | None = None, more: dict[str, str] | None = None
) -> ParsedDocument:
    items = "".join(
        f'<item id="i{at}" href="{quote(name)}" media-type="{XHTML}" '
        f'properties="{name.removesuffix(".xhtml")}"/>'
        for at, name in enumerate(chapters)
    )
    names = list(chapters)
    spine = "".join(f'<itemref idref="i{names.index(name)}"/>' for name in order or names)
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf"><metadata>'
        '<title xmlns="http://purl.org/dc/elements/1.1/">The Whale</title></metadata>'
        f'<manifest>{items}<item id="p" href="p.png" media-type="image/png"/></manifest>'
        f'<spine>{spine}<itemref idref="p"/><itemref idref="missing"/></spine></package>'
    )
    members = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "OPS/book.opf": package,
        **{f"OPS/{name}": text for name, text in chapters.items()},
        **(more or {}),
    }
    return parse_document("moby.epub", archive({it: text.encode() for it, text in members.items()}))


def test_chapters_come_in_the_order_of_the_spine_without_the_contents_list() -> None:
    found = book(
        {
            "nav.xhtml": PAGE.format("", "<p>Contents</p>"),
            "two.xhtml": PAGE.format("", "<p>No heading here.</p>"),
            "chapter one.xhtml": PAGE.format("<title/>", "<h1>Loomings</h1><p>Call me <b/>I.</p>"),
        },
        order=["nav.xhtml", "chapter one.xhtml", "two.xhtml"],
    )
    assert found.title == "The Whale"
    assert found.blocks == (
        Block("heading", "Loomings"),
        Block("text", "Call me I.", ("Loomings",)),
        Block("text", "No heading here."),
    )


def test_a_book_under_drm_is_refused_and_one_with_locked_fonts_is_read() -> None:
    def locked(name: str) -> dict[str, str]:
        inside = f'<CipherReference xmlns="http://www.w3.org/2001/04/xmlenc#" URI="{name}"/>'
        return {"META-INF/encryption.xml": f"<encryption>{inside}</encryption>"}

    chapters = {"one.xhtml": PAGE.format("", "<p>Hello.</p>")}
    assert book(chapters, more=locked("OPS/font.otf")).text() == "Hello."
    with pytest.raises(DocumentRefused, match=r"protected \(DRM\)"):
        book(chapters, more=locked("OPS/one.xhtml"))


def test_what_all_chapters_hold_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DOCUMENT_CHARS_MAX", 1_000)
    page = PAGE.format("", f"<p>{'a' * 500}</p>")
    with pytest.raises(DocumentRefused, match="limit of 1,000 characters"):
        book({"one.xhtml": page, "two.xhtml": page})


def test_a_book_that_names_no_parts_is_damaged() -> None:
    with pytest.raises(DocumentRefused, match="it is damaged"):
        parse_document("a.epub", archive({"META-INF/container.xml": b"<container/>"}))
    with pytest.raises(DocumentRefused, match="no text"):
        book({})
