"""PDF to blocks: paragraphs, headings and tables in reading order, each with its pages.

pdfium reads the characters, their places and the ruling lines; what they make is found out here.
pdfium is not for several threads at once: call this from one thread of a process.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from kotaemon_node.adapters.documents.parsed import Outline, ParsedDocument
from kotaemon_node.adapters.documents.pdf_flow import Flow, Paragraph, Piece, TablePart
from kotaemon_node.adapters.documents.pdf_headings import Bookmark, heading_levels
from kotaemon_node.adapters.documents.pdf_layout import lines_of
from kotaemon_node.adapters.documents.pdf_page import PageContent, read_page
from kotaemon_node.adapters.documents.pdf_ruled import ruled_tables
from kotaemon_node.adapters.documents.pdf_running import PageLines, without_running
from kotaemon_node.adapters.documents.pdf_words import Words
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import DocumentRefused

_MAGIC: Final = b"%PDF-"
_MAGIC_WITHIN_BYTES: Final = 1024  # other readers look so far, and some files begin with a mail
_BOOKMARKS_MAX: Final = 20_000
_REFUSALS: Final = {
    pdfium_c.FPDF_ERR_PASSWORD: "it is encrypted and needs a password to be read",
    pdfium_c.FPDF_ERR_SECURITY: "it is encrypted in a way that cannot be read",
}
_BROKEN: Final = "the PDF is broken: it could not be read"
# Names that programs give to documents without one.
_NO_TITLE: Final = re.compile(
    r"untitled|unknown|title|document\d*|powerpoint presentation|slide \d+"
    r"|microsoft (word|powerpoint|excel)\b.*"
    r"|.*\.(docx?|pptx?|xlsx?|pdf|tex|dvi|indd|qxd|html?|odt|rtf|txt|pub|ps|eps|fm)"
    r"|无标题|未命名|幻灯片 ?\d+",
    re.IGNORECASE,
)
_SPEAKS: Final = re.compile(r"[^\W\d_]{3}|[\u2e80-\u9fff]{2}")
_MOJIBAKE: Final = re.compile("[\u0080-\u00ff\ufffd]")


def parse_pdf(content: bytes, *, name: str) -> ParsedDocument:
    """Return the document; its title is that of its properties, else its first heading or ``name``.

    Raises ``DocumentRefused`` with a reason that its owner understands. Pages that cannot be read
    are left out as long as there are others.
    """
    if _MAGIC not in content[:_MAGIC_WITHIN_BYTES]:
        raise DocumentRefused("it is not a PDF, although its name says so")
    with _opened(content) as pdf:
        if len(pdf) > limits.PDF_PAGES_MAX:
            raise DocumentRefused(
                f"it has {len(pdf):,} pages, the limit is {limits.PDF_PAGES_MAX:,}: divide it"
            )
        pages = _pages(pdf)
        bookmarks = list(_bookmarks(pdf))
        told = pdf.get_metadata_value("Title")
    without_running(pages)
    flow = Flow(Words(line.text for page in pages for line in page.lines))
    for page in pages:
        flow.add_page(page.number, page.lines, page.tables)
    outline = Outline()
    _outline(outline, flow.pieces, bookmarks)
    return outline.document(_title(told) or outline.first_heading() or name)


def _opened(content: bytes) -> Any:
    try:
        return pdfium.PdfDocument(content)
    except pdfium.PdfiumError as error:
        raise DocumentRefused(_REFUSALS.get(error.err_code or 0, _BROKEN)) from None


def _pages(pdf: Any) -> list[PageLines]:
    """Return the pages that have text. Raises ``DocumentRefused`` when none has."""
    pages: list[PageLines] = []
    unreadable = pictures = chars = 0
    for number in range(1, len(pdf) + 1):
        try:
            content = _page(pdf, number)
        except pdfium.PdfiumError:
            unreadable += 1
            continue
        tables, runs = ruled_tables(content)
        lines = [*lines_of(runs), *lines_of(content.turned)]
        pictures += bool(content.pictures and not lines)
        chars += sum(len(run.text) for run in content.runs)
        if chars > limits.DOCUMENT_CHARS_MAX:
            raise DocumentRefused(
                f"its text is over the limit of {limits.DOCUMENT_CHARS_MAX:,} characters"
            )
        if lines:
            pages.append(PageLines(number, lines, tables, content.top, content.bottom))
    if not pages:
        raise DocumentRefused(_no_text(len(pdf), unreadable=unreadable, pictures=pictures))
    return pages


def _page(pdf: Any, number: int) -> PageContent:
    page = pdf[number - 1]
    try:
        return read_page(page)
    finally:
        page.close()


def _no_text(count: int, *, unreadable: int, pictures: int) -> str:
    if pictures:
        pages = "page is a picture" if count == 1 else "pages are pictures"
        return (
            f"its {pages} without text ({count:,} page{'s'[: count > 1]}); "
            "recognising text in pictures is not supported"
        )
    if unreadable:
        return f"the PDF is broken: none of its pages could be read ({count:,})"
    return "there is no text in it"


def _bookmarks(pdf: Any) -> Iterator[Bookmark]:
    try:
        for number, entry in enumerate(pdf.get_toc()):
            if number == _BOOKMARKS_MAX:
                return
            target = entry.get_dest()
            index = target.get_index() if target else None
            if index is not None:
                yield Bookmark(entry.level + 1, entry.get_title(), index + 1)
    except (pdfium.PdfiumError, UnicodeError):
        return  # what is readable of a broken outline is better than none


def _title(told: str) -> str:
    title = " ".join(told.split())
    if not _SPEAKS.search(title) or _NO_TITLE.fullmatch(title):
        return ""
    # Titles in the encoding of some country, read as Western European.
    return "" if len(_MOJIBAKE.findall(title)) > len(title) / 3 else title


def _outline(outline: Outline, pieces: list[Piece], bookmarks: list[Bookmark]) -> None:
    levels = heading_levels(pieces, bookmarks)
    items: list[Paragraph] = []
    for at, piece in enumerate(pieces):
        if isinstance(piece, Paragraph) and at not in levels and piece.listed:
            items.append(piece)
            continue
        _add_text(outline, items)
        items = []
        if isinstance(piece, TablePart):
            outline.table(piece.rows, has_header=piece.has_header, row_pages=piece.pages)
        elif at in levels:
            outline.page = piece.page
            outline.heading(levels[at], piece.text)
        else:
            _add_text(outline, [piece])
    _add_text(outline, items)


def _add_text(outline: Outline, paragraphs: list[Paragraph]) -> None:
    """Add paragraphs as one block, one below the other."""
    if not paragraphs:
        return
    text = ""
    starts: list[tuple[int, int]] = []
    for paragraph in paragraphs:
        text += "\n" if text else ""
        starts.append((len(text), paragraph.page))
        starts.extend((len(text) + offset, page) for offset, page in paragraph.pages)
        text += paragraph.text
    outline.page = paragraphs[0].page
    pages = [outline.page, *(page for _, page in starts)]
    new = [start for start, last in zip(starts, pages, strict=False) if start[1] != last]
    outline.add("text", text, pages=new)
