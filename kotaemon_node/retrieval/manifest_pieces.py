"""Parses manifests document by document: cheap when most of them are as they were.

A manifest of thousands of documents is parsed again for a change of one. Parsed whole it takes tens
of milliseconds, in which a call of the JSON parser keeps every other thread waiting. So the bytes
of the last one are kept, and only the documents between what both begin and end with are looked at:
those that were there before are taken over, and only new ones are parsed. Generations share the
entries of what they have in common.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from sys import intern
from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray

from kotaemon_node.domain.knowledge import DocumentEntry, Manifest

# Keys are sorted, so a text stands before the documents and "encoder" behind them. None of the
# marks can be inside a JSON string, where each quote has a backslash before it.
_OPENING: Final = b'{"created_at":"'
_FIRST: Final = b'","documents":[{"document":'
_NEXT: Final = b'},{"document":'
_END: Final = b'}],"encoder":'
_ROW: Final = b'{"document":'
# Compared at once: each call that compares keeps other threads waiting for less than 1 ms.
_BLOCK_BYTES: Final = 1 << 20
# The same words in thousands of documents.
_COMMON: Final = ("segment", "status", "indexed_at")

_Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Cut:
    """A manifest's bytes, with the place of its documents and what they say."""

    payload: bytes
    first: int
    """Where the first document begins, behind ``_ROW``."""
    end: int
    """Where the last one ends."""
    documents: tuple[DocumentEntry, ...] = ()


class ManifestPieces:
    """Parses the manifests of one tenant, remembering the last one of each knowledge base.

    Thread safe: whoever comes second parses a little more.
    """

    def __init__(self) -> None:
        self._known: dict[str, _Cut] = {}

    def parse(self, kb: str, payload: bytes) -> Manifest:
        """Return what ``Manifest.from_json`` does, and raise as it does."""
        cut = _cut(payload)
        if cut is None:
            return Manifest.from_json(payload)
        documents = _documents(cut, self._known.get(kb))
        rest = payload[: cut.first - len(_ROW)] + payload[cut.end + 1 :]
        digest = hashlib.sha256(payload).hexdigest()
        manifest = Manifest.of(orjson.loads(rest), documents, digest=digest)
        self._known[kb] = _Cut(payload, cut.first, cut.end, documents)
        return manifest


def _cut(payload: bytes) -> _Cut | None:
    """Return where the documents are; None where they can't be told apart."""
    start = payload.find(_FIRST)
    end = payload.find(_END, start)
    if start < 0 or end < 0 or payload.find(b'"', len(_OPENING)) != start:
        return None
    if not payload.startswith(_OPENING):
        return None
    return _Cut(payload, start + len(_FIRST), end)


def _documents(new: _Cut, old: _Cut | None) -> tuple[DocumentEntry, ...]:
    """Return the documents of ``new``, those that ``old`` has as well from there."""
    if old is None:
        return _parsed(new.payload[new.first : new.end].split(_NEXT), {})
    same = _same_bytes(_view(new), _view(old), ahead=True)
    # Whole documents at the beginning: those with the mark behind them in what is the same.
    begin = new.payload.rfind(_NEXT, new.first, new.first + same)
    begin = new.first if begin < 0 else begin + len(_NEXT)
    shift = begin - new.first
    # And at the end, of what is left: those with the mark before them.
    same = _same_bytes(_view(new)[shift:], _view(old)[shift:], ahead=False)
    stop = new.payload.find(_NEXT, new.end - same, new.end)
    stop = new.end if stop < 0 else stop
    between = old.payload[old.first + shift : old.end - (new.end - stop)].split(_NEXT)
    # Marks are counted on the shorter side; the documents of the other one follow.
    if begin - new.first < new.end - stop:
        before = new.payload.count(_NEXT, new.first, begin)
    else:
        before = len(old.documents) - len(between) - new.payload.count(_NEXT, stop, new.end)
    following = before + len(between)
    known = dict(zip(between, old.documents[before:following], strict=True))
    changed = _parsed(new.payload[begin:stop].split(_NEXT), known)
    return (*old.documents[:before], *changed, *old.documents[following:])


def _view(cut: _Cut) -> _Bytes:
    return np.frombuffer(cut.payload, dtype=np.uint8)[cut.first : cut.end]


def _same_bytes(one: _Bytes, other: _Bytes, *, ahead: bool) -> int:
    """Return with how many equal bytes both begin (``ahead``) or end."""
    shorter = min(len(one), len(other))
    if ahead:
        one, other = one[:shorter], other[:shorter]
    else:
        one, other = one[len(one) - shorter :], other[len(other) - shorter :]
    for done in range(0, shorter, _BLOCK_BYTES):
        size = min(_BLOCK_BYTES, shorter - done)
        block = slice(done, done + size) if ahead else slice(shorter - done - size, shorter - done)
        unequal = np.flatnonzero(one[block] != other[block])
        if len(unequal):
            return done + int(unequal[0] if ahead else size - 1 - unequal[-1])
    return shorter


def _parsed(
    rows: Sequence[bytes], known: Mapping[bytes, DocumentEntry]
) -> tuple[DocumentEntry, ...]:
    return tuple(known.get(row) or _entry(row) for row in rows)


def _entry(row: bytes) -> DocumentEntry:
    said = orjson.loads(_ROW + row + b"}")
    said.update((name, intern(said[name])) for name in _COMMON if isinstance(said.get(name), str))
    return DocumentEntry(**said)
