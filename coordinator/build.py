"""A generation's manifest and its new segment, from the generation before and what has changed."""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from coordinator.ingest import INGEST_RULES, Ingested
from coordinator.merging import live_rows, segments_to_merge
from kotaemon_node.domain.artifact_names import segment_file_name
from kotaemon_node.domain.knowledge import DocumentEntry, Manifest, Passage, SegmentEntry
from kotaemon_node.ports.artifacts import ArtifactStore
from kotaemon_node.ports.encoder import Encoder, is_elsewhere
from kotaemon_node.ports.runtime import Clock
from kotaemon_node.ports.segments import Segment, SegmentFormat, SegmentWriter
from kotaemon_node.ports.traces import spanned
from kotaemon_node.retrieval.analysis import ANALYSIS, terms
from kotaemon_node.retrieval.copies import open_checked
from kotaemon_node.retrieval.indexed import check_same_model, indexed_text, some_of_segment

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

    @spanned("encode")
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
        spared: Collection[str] = (),
    ) -> Build:
        """Return generation ``number``, its new segment's files in the empty ``folder``.

        ``spared`` names segments that are better left alone, because they are merged elsewhere.
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
        new = any(it.passages for it in change.ingested)
        merged = segments_to_merge(segments, live, new=new, spared=spared)
        merged |= live.keys() & set(change.rewrite)

        if new and segments and is_elsewhere(self._encoder):
            self._check_model(kb, segments[0])
        segment = None
        if merged or new:
            writing = _Writing(change.ingested, proceed)
            writer = self._format.writer(folder, alive=writing.alive)
            for entry in segments:
                if entry.name in merged:
                    self._copy_live(writer, kb, entry, kept)
            self._add_new(writer, writing)
            segment = writer.finish()

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

    def _check_model(self, kb: str, entry: SegmentEntry) -> None:
        """Raise ``CorruptArtifact`` where the encoder's server has another model by now.

        What leads to a build of everything: vectors of two models must not be compared.
        """
        with closing(self._open(kb, entry)) as segment:
            check_same_model(some_of_segment(segment), self._encoder)

    def _copy_live(
        self, writer: SegmentWriter, kb: str, entry: SegmentEntry, kept: Sequence[DocumentEntry]
    ) -> None:
        """Append the live rows of an old segment."""
        living = {it.document for it in kept if it.segment == entry.name}
        with closing(self._open(kb, entry)) as segment:
            lives = np.array([name in living for name in segment.documents], dtype=np.bool_)
            writer.copy(segment, lives[segment.document_of_row])

    def _add_new(self, writer: SegmentWriter, writing: "_Writing") -> None:
        """Append the new passages, encoding those that are not; they stay in their order."""
        waiting: list[Passage] = []
        for it in writing.ingested:
            if it.vectors is None:
                waiting += it.passages
            else:
                self._encode(writer, waiting, writing)
                waiting = []
                writer.add(it.passages, _counted(it.passages), it.vectors)
                writing.took(len(it.passages))
        self._encode(writer, waiting, writing)

    def _encode(
        self, writer: SegmentWriter, passages: Sequence[Passage], writing: "_Writing"
    ) -> None:
        for start in range(0, len(passages), _ENCODE_BATCH):
            writing.alive()
            batch = passages[start : start + _ENCODE_BATCH]
            encoded = self._encoder.encode_passages([indexed_text(it) for it in batch])
            writer.add(batch, _counted(batch), encoded)
            writing.took(len(batch))

    def local_files(self, kb: str, entry: SegmentEntry) -> Mapping[str, Path]:
        """Return the files of a stored segment on this machine, not verified.

        Raises ``CorruptArtifact`` where one is missing.
        """
        names = self._names(kb, entry)
        return {file: self._store.open_local(name) for file, name in names.items()}

    def discard_wrong(self, kb: str, entry: SegmentEntry) -> bool:
        """Drop copies of this machine that are not what ``entry`` says; tell whether any was."""
        names = self._names(kb, entry)
        dropped = [
            self._store.discard_local(name, sha256=entry.files[file])
            for file, name in names.items()
        ]
        return any(dropped)

    def _names(self, kb: str, entry: SegmentEntry) -> Mapping[str, str]:
        return {file: segment_file_name(self._tenant, kb, entry.name, file) for file in entry.files}

    def _open(self, kb: str, entry: SegmentEntry) -> Segment:
        return open_checked(
            self._store,
            self._names(kb, entry),
            entry.files,
            lambda files: self._format.open(files, entry),
        )


class _Writing:
    """New documents on their way into a segment."""

    def __init__(self, ingested: Sequence[Ingested], proceed: Proceed) -> None:
        self.ingested = ingested
        self._proceed = proceed
        self._done = 0
        self._all = sum(len(it.passages) for it in ingested)

    def took(self, passages: int) -> None:
        """Note that so many more are written."""
        self._done += passages

    def alive(self) -> None:
        """Tell how far it is; raises to stop it."""
        self._proceed(self._done, self._all)


def _counted(passages: Sequence[Passage]) -> Sequence[Mapping[str, int]]:
    return [terms(indexed_text(passage)) for passage in passages]


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
