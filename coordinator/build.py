"""A generation's manifest and its new segment, from the generation before and what has changed."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from coordinator.chunking import indexed_text
from coordinator.ingest import INGEST_RULES, Ingested
from coordinator.merging import live_rows, segments_to_merge
from kotaemon_node.domain.artifact_names import segment_file_name
from kotaemon_node.domain.knowledge import DocumentEntry, Manifest, Passage, SegmentEntry
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.encoder import Encoder, SpaceVectors
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.segments import Segment, SegmentFormat
from kotaemon_node.retrieval.analysis import ANALYSIS, terms
from kotaemon_node.retrieval.copies import open_checked

_ENCODE_BATCH: Final = 16
_RULES: Final = {"analysis": ANALYSIS, "ingest": INGEST_RULES}

# Called with the passages encoded so far and all there are; raises to stop the build.
Proceed = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Change:
    """What a generation has that the one before has not."""

    ingested: Sequence[Ingested]
    deleted: Collection[str] = ()
    queued: Sequence[DocumentEntry] = ()
    """Documents that were met and wait for a later generation."""
    rewrite: Collection[str] = ()
    """Names of segments that must not be in it; their live rows are moved."""
    lineage: Mapping[str, Any] = field(default_factory=dict)
    """What its manifest says of how it came to be (``domain.lineage``)."""


@dataclass(frozen=True, slots=True)
class Build:
    """A generation that is ready to be published."""

    manifest: Manifest
    texts: Mapping[str, bytes]
    """sha256 (hex) to canonical text, of the documents that are new."""
    segment: SegmentEntry | None
    """The new segment, whose files lie in ``folder``."""
    folder: Path


@dataclass(slots=True)
class _Rows:
    """Rows of a segment to be written."""

    passages: list[Passage] = field(default_factory=list)
    positions: dict[str, list[int]] = field(default_factory=dict)
    vectors: dict[str, list[NDArray[np.float32]]] = field(default_factory=dict)

    def add(self, passage: Passage, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        for space, vector in vectors.items():
            self.positions.setdefault(space, []).append(len(self.passages))
            self.vectors.setdefault(space, []).append(vector)
        self.passages.append(passage)

    def spaces(self) -> Mapping[str, SpaceVectors]:
        return {
            space: SpaceVectors(
                positions=np.array(self.positions[space], dtype=np.int64),
                vectors=np.stack(vectors).astype(np.float32, copy=False),
            )
            for space, vectors in self.vectors.items()
        }


class Builder:
    """Builds generations with one encoder. Writes only into the folder it is given."""

    def __init__(
        self,
        *,
        encoder: Encoder,
        segment_format: SegmentFormat,
        store: ArtifactStore,
        clock: Clock,
        tenant: str,
    ) -> None:
        self._encoder = encoder
        self._format = segment_format
        self._store = store
        self._clock = clock
        self._tenant = tenant

    def repeated(
        self, older: Manifest, number: int, previous: Manifest, lineage: Mapping[str, Any]
    ) -> Manifest:
        """Return generation ``number`` with the content of ``older``, following ``previous``."""
        return replace(
            older,
            generation=number,
            parent=previous.digest,
            created_at=iso_time(self._clock.now_s()),
            extra={**_RULES, **lineage},
        )

    def documents_in(self, kb: str, entry: SegmentEntry) -> frozenset[str]:
        """Return the documents that a stored segment holds a row of, dead ones included.

        Raises ``CorruptArtifact`` when it is unreadable.
        """
        with closing(self._open(kb, entry)) as segment:
            return frozenset(segment.documents)

    def can_extend(self, manifest: Manifest) -> bool:
        """Tell whether new passages may stand beside those of ``manifest``.

        With another encoder, analysis or rules of ingest all is built anew: vectors and terms of
        two kinds must not be compared.
        """
        return (
            manifest.encoder == self._encoder.name
            and dict(manifest.spaces) == dict(self._encoder.spaces)
            and all(manifest.extra.get(name) == rules for name, rules in _RULES.items())
        )

    def build(
        self,
        kb: str,
        number: int,
        previous: Manifest | None,
        change: Change,
        *,
        rebuild: bool,
        folder: Path,
        proceed: Proceed,
    ) -> Build:
        """Return generation ``number``, its new segment's files in the empty ``folder``.

        ``previous`` is extended, or with ``rebuild`` only named as the parent. Raises what
        ``proceed`` raises, and ``CorruptArtifact`` when an old segment is unreadable.
        """
        base = None if rebuild else previous
        gone = {*change.deleted, *(it.document for it in change.ingested)}
        kept = [
            entry
            for entry in (base.documents if base else ())
            if entry.document not in gone and entry.status != "queued"
        ]
        segments = base.segments if base else ()
        live = live_rows(kept)
        passages = [passage for it in change.ingested for passage in it.passages]
        merged = segments_to_merge(segments, live, new=bool(passages))
        merged |= live.keys() & set(change.rewrite)

        rows = _Rows()
        for entry in segments:
            if entry.name in merged:
                self._copy_live(rows, kb, entry, kept)
        for passage, vectors in self._encoded(passages, proceed):
            rows.add(passage, vectors)
        segment = self._write(rows, folder) if rows.passages else None

        name = segment.name if segment else None
        documents = [
            replace(entry, segment=name) if entry.segment in merged else entry for entry in kept
        ]
        at = iso_time(self._clock.now_s())
        documents += [entry_of(it, segment=name, at=at) for it in change.ingested]
        known = {entry.document for entry in documents}
        documents += [entry for entry in change.queued if entry.document not in known]
        untouched = [it for it in segments if live.get(it.name, 0) and it.name not in merged]
        manifest = Manifest(
            tenant=self._tenant,
            kb=kb,
            generation=number,
            parent=previous.digest if previous else None,
            encoder=self._encoder.name,
            spaces=dict(self._encoder.spaces),
            segments=_distinct([*untouched, *([segment] if segment else [])]),
            documents=sorted(documents, key=lambda entry: entry.document),
            created_at=at,
            extra={**_RULES, **change.lineage},
        )
        texts = {text_digest(it.text): it.text.encode() for it in change.ingested if it.passages}
        return Build(manifest, texts, segment, folder)

    def _copy_live(
        self, rows: _Rows, kb: str, entry: SegmentEntry, kept: Sequence[DocumentEntry]
    ) -> None:
        """Add the live rows of an old segment, with the vectors it has."""
        living = {it.document for it in kept if it.segment == entry.name}
        with closing(self._open(kb, entry)) as segment:
            for row, document in enumerate(segment.documents):
                if document in living:
                    rows.add(segment.passage(row), segment.vector(row))

    def _open(self, kb: str, entry: SegmentEntry) -> Segment:
        names = {
            file: segment_file_name(self._tenant, kb, entry.name, file) for file in entry.files
        }
        return open_checked(
            self._store, names, entry.files, lambda files: self._format.open(files, entry)
        )

    def _encoded(
        self, passages: Sequence[Passage], proceed: Proceed
    ) -> Iterator[tuple[Passage, Mapping[str, NDArray[np.float32]]]]:
        for start in range(0, len(passages), _ENCODE_BATCH):
            proceed(start, len(passages))
            batch = passages[start : start + _ENCODE_BATCH]
            encoded = self._encoder.encode_passages([indexed_text(it) for it in batch])
            vectors: list[dict[str, NDArray[np.float32]]] = [{} for _ in batch]
            for space, found in encoded.items():
                for position, vector in zip(found.positions, found.vectors, strict=True):
                    vectors[position][space] = vector
            yield from zip(batch, vectors, strict=True)
        proceed(len(passages), len(passages))

    def _write(self, rows: _Rows, folder: Path) -> SegmentEntry:
        counted = [terms(indexed_text(passage)) for passage in rows.passages]
        return self._format.write(folder, rows.passages, counted, rows.spaces())


def entry_of(it: Ingested, *, segment: str | None, at: str) -> DocumentEntry:
    """Return the manifest's entry for a document whose passages lie in ``segment``."""
    return DocumentEntry(
        document=it.document,
        revision=it.revision,
        title=it.title,
        status="failed" if it.reason is not None else "indexed",
        reason=it.reason,
        file_bytes=it.file_bytes,
        text_chars=len(it.text),
        passages=len(it.passages),
        text=text_digest(it.text) if it.passages else None,
        segment=segment if it.passages else None,
        indexed_at=at,
    )


def queued_entry(document: str, revision: str, *, file_bytes: int, at: str) -> DocumentEntry:
    """Return the manifest's entry for a document that waits for a later generation."""
    return DocumentEntry(
        document=document,
        revision=revision,
        title=document.rpartition("/")[2],
        status="queued",
        reason=None,
        file_bytes=file_bytes,
        text_chars=0,
        passages=0,
        text=None,
        segment=None,
        indexed_at=at,
    )


def text_digest(text: str) -> str:
    """Return the name of a canonical text: sha256 (hex) of its UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def iso_time(now_s: float) -> str:
    """Return seconds since the Unix epoch as ISO 8601 in UTC."""
    return datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds")


def _distinct(segments: Sequence[SegmentEntry]) -> Sequence[SegmentEntry]:
    """Return each segment once: the same content written again has the same name."""
    return tuple({segment.name: segment for segment in segments}.values())
