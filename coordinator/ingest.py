"""One file's content to a document with its passages, or to the reason why it has none."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from coordinator.chunking import passages_of
from kotaemon_node.adapters.documents.parsed import ParsedDocument
from kotaemon_node.adapters.documents.reading import parse_document
from kotaemon_node.domain import limits
from kotaemon_node.domain.errors import DocumentRefused
from kotaemon_node.domain.knowledge import Passage

if TYPE_CHECKING:
    # Its numpy would be the largest thing in a process that only reads.
    from kotaemon_node.ports.encoder import SpaceVectors

INGEST_RULES: Final = "3"
"""Names the rules by which files become passages; manifests carry it in ``extra["ingest"]``.

Raise it when a parser or the chunking changes, and every document is read again."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ingested:
    """A document as it was read. ``reason`` is None when it can be found, else why it can't be."""

    document: str
    revision: str
    file_bytes: int
    title: str
    text: str = ""
    passages: tuple[Passage, ...] = ()
    reason: str | None = None
    vectors: "Mapping[str, SpaceVectors] | None" = None
    """By space, the vectors of ``passages``, whose numbers are the positions; None: not encoded."""


BROKE: Final = "it could not be read because of an internal error; the log has the details"
"""The reason of a document that met a bug of ours."""


def ingest(document: str, content: bytes) -> Ingested:
    """Read a document. Never raises: whatever is wrong with a file is the file's reason."""
    try:
        return read_document(document, content)
    except Exception:  # noqa: BLE001 - a parser's bug must not keep the other files from being found
        revision = hashlib.sha256(content).hexdigest()
        _log.exception("document_broke_its_parser", document=document, revision=revision)
        return refused(document, revision, file_bytes=len(content), reason=BROKE)


def read_document(document: str, content: bytes) -> Ingested:
    """Read a document, or return why it is refused. Raises what a parser's bug raises."""
    revision = hashlib.sha256(content).hexdigest()
    try:
        parsed = parse_document(document, content)
        passages = _bounded(document, revision, parsed)
    except DocumentRefused as refusal:
        return refused(document, revision, file_bytes=len(content), reason=str(refusal))
    return Ingested(
        document=document,
        revision=revision,
        file_bytes=len(content),
        title=parsed.title,
        text=parsed.text(),
        passages=passages,
    )


def _bounded(document: str, revision: str, parsed: ParsedDocument) -> tuple[Passage, ...]:
    """Return the passages. Raises ``DocumentRefused`` where there is too much of them."""
    if sum(len(block.text) for block in parsed.blocks) > limits.DOCUMENT_CHARS_MAX:
        raise DocumentRefused(
            f"its text is over the limit of {limits.DOCUMENT_CHARS_MAX:,} characters"
        )
    found = tuple(passages_of(document, revision, parsed))
    if len(found) > limits.DOCUMENT_PASSAGES_MAX:
        raise DocumentRefused(
            f"it makes more passages than the limit of {limits.DOCUMENT_PASSAGES_MAX:,}"
        )
    return found


def refused(document: str, revision: str, *, file_bytes: int, reason: str) -> Ingested:
    """Return a document that cannot be found, with the reason for its owner."""
    name = document.rpartition("/")[2]
    return Ingested(document, revision, file_bytes=file_bytes, title=name, reason=reason)
