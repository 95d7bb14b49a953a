"""One file's content to a document with its passages, or to the reason why it has none."""

import hashlib
from dataclasses import dataclass
from typing import Final

import structlog

from coordinator.chunking import passages_of
from kotaemon_node.adapters.documents.reading import parse_document
from kotaemon_node.domain.errors import DocumentRefused
from kotaemon_node.domain.knowledge import Passage

INGEST_RULES: Final = "1"
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


def ingest(document: str, content: bytes) -> Ingested:
    """Read a document. Never raises: whatever is wrong with a file is the file's reason."""
    revision = hashlib.sha256(content).hexdigest()
    try:
        parsed = parse_document(document, content)
        passages = tuple(passages_of(document, revision, parsed))
    except DocumentRefused as refusal:
        return refused(document, revision, file_bytes=len(content), reason=str(refusal))
    except Exception:  # noqa: BLE001 - a parser's bug must not keep the other files from being found
        _log.exception("document_broke_its_parser", document=document, revision=revision)
        reason = "it could not be read because of an internal error; the log has the details"
        return refused(document, revision, file_bytes=len(content), reason=reason)
    return Ingested(
        document=document,
        revision=revision,
        file_bytes=len(content),
        title=parsed.title,
        text=parsed.text(),
        passages=passages,
    )


def refused(document: str, revision: str, *, file_bytes: int, reason: str) -> Ingested:
    """Return a document that cannot be found, with the reason for its owner."""
    name = document.rpartition("/")[2]
    return Ingested(document, revision, file_bytes=file_bytes, title=name, reason=reason)
