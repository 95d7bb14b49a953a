"""Which parser reads a file: by the ending of its name, and by what its bytes say."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final, Protocol

from kotaemon_node.adapters.documents.decoding import decoded
from kotaemon_node.adapters.documents.html import parse_html
from kotaemon_node.adapters.documents.markdown import parse_markdown
from kotaemon_node.adapters.documents.parsed import ParsedDocument
from kotaemon_node.adapters.documents.plain_text import parse_plain_text
from kotaemon_node.adapters.documents.sniffing import binary_kind, looks_like_html
from kotaemon_node.adapters.documents.tabular import parse_csv
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import DocumentRefused


class _Parser(Protocol):
    def __call__(self, text: str, *, name: str) -> ParsedDocument: ...


_PARSERS: Final[Mapping[str, _Parser]] = {
    ".md": parse_markdown,
    ".markdown": parse_markdown,
    ".txt": parse_plain_text,
    ".html": parse_html,
    ".htm": parse_html,
    ".csv": parse_csv,
}
SUPPORTED_ENDINGS: Final = tuple(_PARSERS)
_SUPPORTED: Final = f"supported are {', '.join(SUPPORTED_ENDINGS)}"


def parse_document(path: str, content: bytes) -> ParsedDocument:
    """Return the text and structure of the file ``path`` (slash-separated) that holds ``content``.

    Raises ``DocumentRefused`` with a reason that its owner understands.
    """
    if refusal := unsupported(path):
        raise refusal
    parser = _PARSERS[_ending(path)]
    if not content:
        raise DocumentRefused("the file is empty")
    if len(content) > limits.DOCUMENT_BYTES_MAX:
        raise too_large(len(content))
    if kind := binary_kind(content):
        raise DocumentRefused(f"it is {kind}, although its name ends in {_ending(path)}")
    text = decoded(content)
    if len(text) > limits.DOCUMENT_CHARS_MAX:
        raise DocumentRefused(
            f"its text is over the limit of {limits.DOCUMENT_CHARS_MAX:,} characters"
        )
    if not text.strip():
        raise DocumentRefused("there is no text in it")
    if looks_like_html(text):
        parser = parse_html
    return parser(text, name=_name(path))


def too_large(size_bytes: int) -> DocumentRefused:
    """Return the refusal of a file of ``size_bytes``."""
    limit_mb = limits.DOCUMENT_BYTES_MAX // 1024**2
    return DocumentRefused(
        f"the file has {size_bytes / 1024**2:.0f} MB, the limit is {limit_mb} MB"
    )


def unsupported(path: str) -> DocumentRefused | None:
    """Return the refusal of a file whose name promises what no parser reads, else None."""
    ending = _ending(path)
    if not ending:
        return DocumentRefused(f"the file name has no ending; {_SUPPORTED}")
    if ending not in _PARSERS:
        return DocumentRefused(f"{ending} files are not supported yet; {_SUPPORTED}")
    return None


def _ending(path: str) -> str:
    return PurePosixPath(path).suffix.lower()


def _name(path: str) -> str:
    """Return the title of a document that names itself nowhere: its file name, readable."""
    stem = PurePosixPath(path).stem
    return stem.replace("_", " ").replace("-", " ").strip() or stem
