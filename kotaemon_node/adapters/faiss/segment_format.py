"""Segments on FAISS: vectors and a lexical index, memory-mapped."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from kotaemon_node.adapters.faiss import layout
from kotaemon_node.adapters.faiss.marks import VerifiedMarks
from kotaemon_node.adapters.faiss.segment import FaissSegment
from kotaemon_node.adapters.faiss.segment_writer import FaissSegmentWriter
from kotaemon_node.adapters.faiss.space_writing import FLAT_ROWS_MAX
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.knowledge import Passage, SegmentEntry
from kotaemon_node.ports.encoder import SpaceVectors
from kotaemon_node.ports.segments import Segment, SegmentWriter

# Measured on 30,000 and 100,000 rows: 27 to 52 bytes a row (a pointer to its document, row numbers
# of 8 bytes in each space), the names of documents and what a first search keeps included.
_ROW_BYTES: Final = 80
_SEGMENT_BYTES: Final = 64 * 1024


class FaissSegmentFormat:
    """``ports.segments.SegmentFormat``."""

    def __init__(
        self, *, flat_rows_max: int = FLAT_ROWS_MAX, marks: VerifiedMarks | None = None
    ) -> None:
        """A space of more than ``flat_rows_max`` vectors is searched by lists.

        With ``marks`` a large file that was verified, and was not touched since, is not read again.
        """
        self._flat_rows_max = flat_rows_max
        self._marks = marks

    def write(
        self,
        folder: Path,
        passages: Sequence[Passage],
        terms: Sequence[Mapping[str, int]],
        vectors: Mapping[str, SpaceVectors],
    ) -> SegmentEntry:
        writer = self.writer(folder)
        writer.add(passages, terms, vectors)
        return writer.finish()

    def writer(self, folder: Path, *, alive: Callable[[], None] = lambda: None) -> SegmentWriter:
        return FaissSegmentWriter(folder, flat_rows_max=self._flat_rows_max, alive=alive)

    def own_bytes(self, entry: SegmentEntry) -> int:
        return _SEGMENT_BYTES + _ROW_BYTES * entry.passages

    def open(self, files: Mapping[str, Path], entry: SegmentEntry) -> Segment:
        if self._marks is None:
            layout.checked(files, entry.files)
        else:
            layout.checked(files, entry.files, self._marks.sha256_of)
        try:
            segment = FaissSegment(entry.name, {name: files[name] for name in entry.files})
        except (OSError, ValueError, LookupError) as error:
            raise CorruptArtifact(f"segment {entry.name} cannot be opened: {error}") from error
        if segment.passages != entry.passages:
            raise CorruptArtifact(f"segment {entry.name} has {segment.passages} passages")
        return segment
