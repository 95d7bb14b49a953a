"""Parses manifests document by document: cheap when most of them are as they were.

A manifest of thousands of documents is parsed again for a change of one. Parsed whole it takes tens
of milliseconds, in which a call of the JSON parser keeps every other thread waiting. So its bytes
are cut into those of the documents; what a document's bytes say is remembered under their hash, and
only new ones are parsed. Generations share the entries of what they have in common.
"""

import hashlib
from collections.abc import Mapping
from typing import Final

import orjson

from kotaemon_node.domain.knowledge import DocumentEntry, Manifest

# Keys are sorted, so a text stands before the documents and "encoder" behind them. None of the
# marks can be inside a JSON string, where each quote has a backslash before it.
_OPENING: Final = b'{"created_at":"'
_FIRST: Final = b'","documents":[{"document":'
_NEXT: Final = b'},{"document":'
_END: Final = b'}],"encoder":'
_ROW: Final = b'{"document":'
_HASH_BYTES: Final = 16

Entries = Mapping[bytes, DocumentEntry]
"""Hash of a document's bytes to what they say."""


class ManifestPieces:
    """Parses the manifests of one tenant, remembering the last one of each knowledge base.

    Thread safe: whoever comes second parses a little more.
    """

    def __init__(self) -> None:
        self._known: dict[str, Entries] = {}

    def parse(self, kb: str, payload: bytes) -> Manifest:
        """Return what ``Manifest.from_json`` does, and raise as it does."""
        cut = _cut(payload)
        if cut is None:
            return Manifest.from_json(payload)
        rest, rows = cut
        known = self._known.get(kb, {})
        entries: dict[bytes, DocumentEntry] = {}
        documents: list[DocumentEntry] = []
        for row in rows:
            key = hashlib.blake2b(row, digest_size=_HASH_BYTES).digest()
            entry = known.get(key)
            if entry is None:
                entry = DocumentEntry(**orjson.loads(_ROW + row + b"}"))
            entries[key] = entry
            documents.append(entry)
        digest = hashlib.sha256(payload).hexdigest()
        manifest = Manifest.of(orjson.loads(rest), tuple(documents), digest=digest)
        self._known[kb] = entries
        return manifest


def _cut(payload: bytes) -> tuple[bytes, list[bytes]] | None:
    """Return the manifest without its documents, and these; None where they can't be told apart."""
    start = payload.find(_FIRST)
    end = payload.find(_END, start)
    if start < 0 or end < 0 or payload.find(b'"', len(_OPENING)) != start:
        return None
    if not payload.startswith(_OPENING):
        return None
    first = start + len(_FIRST)
    rest = payload[: first - len(_ROW)] + payload[end + 1 :]
    return rest, payload[first:end].split(_NEXT)
