"""Segments on FAISS: exact inner products and a lexical index, memory-mapped."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from kotaemon_node.adapters.faiss import layout, writer
from kotaemon_node.adapters.faiss.segment import FaissSegment
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.knowledge import Passage, SegmentEntry
from kotaemon_node.ports.encoder import SpaceVectors
from kotaemon_node.ports.segments import Segment

# Measured on 30,000 and 100,000 rows: 27 to 52 bytes a row (a pointer to its document, row numbers
# of 8 bytes in each space), the names of documents and what a first search keeps included.
_ROW_BYTES: Final = 80
_SEGMENT_BYTES: Final = 64 * 1024


class FaissSegmentFormat:
    """``ports.segments.SegmentFormat``."""

    def write(
        self,
        folder: Path,
        passages: Sequence[Passage],
        terms: Sequence[Mapping[str, int]],
        vectors: Mapping[str, SpaceVectors],
    ) -> SegmentEntry:
        if len(passages) != len(terms):
            raise ValueError(f"{len(passages)} passages with the terms of {len(terms)}")
        writer.write_passages(folder, passages)
        writer.write_terms(folder, terms)
        for space in sorted(vectors):
            if len(vectors[space].positions):
                writer.write_vectors(folder, space, vectors[space])
        written = sorted(folder.iterdir())
        checksums = {path.name: layout.sha256_of(path) for path in written}
        return SegmentEntry(
            name=layout.segment_name(checksums),
            passages=len(passages),
            size_bytes=sum(path.stat().st_size for path in written),
            files=checksums,
        )

    def own_bytes(self, entry: SegmentEntry) -> int:
        return _SEGMENT_BYTES + _ROW_BYTES * entry.passages

    def open(self, files: Mapping[str, Path], entry: SegmentEntry) -> Segment:
        layout.checked(files, entry.files)
        try:
            segment = FaissSegment(entry.name, {name: files[name] for name in entry.files})
        except (OSError, ValueError, LookupError) as error:
            raise CorruptArtifact(f"segment {entry.name} cannot be opened: {error}") from error
        if segment.passages != entry.passages:
            raise CorruptArtifact(f"segment {entry.name} has {segment.passages} passages")
        return segment
