"""Which parser reads a file: by what its bytes say; the ending of its name tells texts apart."""

from codecs import BOM_UTF8
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final, Protocol

from kotaemon_node.adapters.documents.decoding import decoded
from kotaemon_node.adapters.documents.docx import parse_docx
from kotaemon_node.adapters.documents.endings import BINARIES, ending_of, too_large, unsupported
from kotaemon_node.adapters.documents.epub import parse_epub
from kotaemon_node.adapters.documents.faq_file import parse_faq_file
from kotaemon_node.adapters.documents.html import parse_html
from kotaemon_node.adapters.documents.markdown import parse_markdown
from kotaemon_node.adapters.documents.ooxml import Package
from kotaemon_node.adapters.documents.parsed import ParsedDocument
from kotaemon_node.adapters.documents.pdf import parse_pdf
from kotaemon_node.adapters.documents.plain_text import parse_plain_text
from kotaemon_node.adapters.documents.pptx import parse_pptx
from kotaemon_node.adapters.documents.sniffing import (
    looks_like_html,
    looks_like_pdf,
    looks_zipped,
    unreadable_kind,
    zipped_kind,
)
from kotaemon_node.adapters.documents.tabular import parse_csv
from kotaemon_node.adapters.documents.xlsx import parse_xlsx
from kotaemon_node.adapters.documents.zipped import Zipped
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import DocumentRefused
from kotaemon_node.domain.faq_entries import FAQ_ENDING


class _TextParser(Protocol):
    def __call__(self, text: str, *, name: str) -> ParsedDocument: ...


class _OfficeParser(Protocol):
    def __call__(self, package: Package, *, name: str) -> ParsedDocument: ...


_TEXTS: Final[Mapping[str, _TextParser]] = {
    ".md": parse_markdown,
    ".markdown": parse_markdown,
    ".txt": parse_plain_text,
    ".html": parse_html,
    ".htm": parse_html,
    ".xhtml": parse_html,
    ".csv": parse_csv,
    ".tsv": parse_csv,
    FAQ_ENDING: parse_faq_file,
}
_OFFICE: Final[Mapping[str, _OfficeParser]] = {
    "docx": parse_docx,
    "pptx": parse_pptx,
    "xlsx": parse_xlsx,
}


def parse_document(path: str, content: bytes) -> ParsedDocument:
    """Return the text and structure of the file ``path`` (slash-separated) that holds ``content``.

    A supported format is read under whatever name; only text needs an ending that says which kind
    of text it is. Raises ``DocumentRefused`` with a reason that its owner understands.
    """
    if not content:
        raise DocumentRefused("the file is empty")
    if len(content) > limits.DOCUMENT_BYTES_MAX:
        raise unsupported(path) or too_large(len(content))
    try:
        return _parsed(path, content)
    except RecursionError as error:
        raise DocumentRefused("its parts are nested too deep") from error


def _parsed(path: str, content: bytes) -> ParsedDocument:
    ending, name = ending_of(path), _name(path)
    if looks_zipped(content):
        zipped = Zipped(content)
        kind = zipped_kind(zipped)
        if kind == "epub":
            return parse_epub(zipped, name=name)
        return _OFFICE[kind](Package(zipped), name=name)
    if looks_like_pdf(content, ending=ending):
        return parse_pdf(content, name=name)
    if reason := unreadable_kind(content):
        raise DocumentRefused(f"it is {reason}")
    if looks_like_html(content[:4096].removeprefix(BOM_UTF8).decode("latin-1")):
        return parse_html(_text(content), name=name)
    if ending in BINARIES:
        raise DocumentRefused(f"its name ends in {ending}, but it is not {BINARIES[ending]}")
    if refusal := unsupported(path):
        raise refusal
    text = _text(content)
    parser = parse_html if looks_like_html(text) else _TEXTS[ending]
    return parser(text, name=name)


def _text(content: bytes) -> str:
    text = decoded(content)
    if len(text) > limits.DOCUMENT_CHARS_MAX:
        raise DocumentRefused(
            f"its text is over the limit of {limits.DOCUMENT_CHARS_MAX:,} characters"
        )
    if not text.strip():
        raise DocumentRefused("there is no text in it")
    return text


def _name(path: str) -> str:
    """Return the title of a document that names itself nowhere: its file name, readable."""
    stem = PurePosixPath(path).stem
    return stem.replace("_", " ").replace("-", " ").strip() or stem
