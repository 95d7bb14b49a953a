"""Segments: immutable pieces of an index that a generation is made of."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.domain.knowledge import Passage, SegmentEntry
from kotaemon_node.ports.encoder import SpaceVectors


class Segment(Protocol):
    """An open segment: ``passages`` rows numbered from 0. Memory-mapped; safe for many readers."""

    @property
    def name(self) -> str:
        """The name under which manifests know it."""
        ...

    @property
    def passages(self) -> int:
        """How many rows it has, dead ones included."""
        ...

    @property
    def documents(self) -> Sequence[str]:
        """Its documents, each once, in the order of their first rows."""
        ...

    @property
    def document_of_row(self) -> NDArray[np.int32]:
        """(passages,) place of each row's document in ``documents``."""
        ...

    @property
    def lengths(self) -> NDArray[np.int32]:
        """(passages,) number of terms of each row, for BM25."""
        ...

    def postings(self, term: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return (rows, counts) of the rows that hold ``term``, rows increasing."""
        ...

    def nearest(
        self,
        space: str,
        queries: NDArray[np.float32],
        k: int,
        live: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return (rows, inner products), each (n_queries, <= k), closest first, row -1 for none.

        Where a space has many rows some of the nearest may be missing (recall at 10 of 0.95 or
        better), never because there are too few: there are k where the space has k. Products are
        exact and do not depend on how rows are cut into segments. With ``live`` (passages,) only
        rows of which that is true are found; to look so takes longer.
        """
        ...

    @property
    def vectors(self) -> Mapping[str, int]:
        """Return space to how many rows have a vector in it."""
        ...

    def vector(self, row: int) -> Mapping[str, NDArray[np.float32]]:
        """Return the row's vectors by space, (dimension,), for merging without encoding again."""
        ...

    def passage(self, row: int) -> Passage:
        """Return the row's passage."""
        ...

    def close(self) -> None:
        """Release files and memory; the segment must not be used afterwards."""
        ...


class SegmentWriter(Protocol):
    """A segment that is being written, row by row, in memory that hardly follows their number.

    The files are those that ``SegmentFormat.write`` writes of the same rows in the same order.
    """

    def copy(self, segment: Segment, live: NDArray[np.bool_]) -> None:
        """Append the rows of an open segment of this format that ``live`` (passages,) names."""
        ...

    def add(
        self,
        passages: Sequence[Passage],
        terms: Sequence[Mapping[str, int]],
        vectors: Mapping[str, SpaceVectors],
    ) -> None:
        """Append new rows; positions of ``vectors`` count from the first of them."""
        ...

    def finish(self) -> SegmentEntry:
        """Write what is left and return the entry. Called once, last."""
        ...


class SegmentFormat(Protocol):
    """Writes and opens segments as folders of files."""

    def writer(self, folder: Path, *, alive: Callable[[], None] = ...) -> SegmentWriter:
        """Return a writer into the empty ``folder``; ``alive`` is called often and may raise."""
        ...

    def write(
        self,
        folder: Path,
        passages: Sequence[Passage],
        terms: Sequence[Mapping[str, int]],
        vectors: Mapping[str, SpaceVectors],
    ) -> SegmentEntry:
        """Write a segment's files into the empty ``folder`` and return its entry.

        ``terms`` gives for each passage its terms and their counts. The name is a digest of the
        files' contents, so equal input gives an equal name.
        """
        ...

    def own_bytes(self, entry: SegmentEntry) -> int:
        """Return how much memory of the process itself an open segment takes, at most.

        Its mapped files come on top: the processes of a machine share them.
        """
        ...

    def open(self, files: Mapping[str, Path], entry: SegmentEntry) -> Segment:
        """Open what ``write`` wrote (file name to path), after checking every file's sha256.

        Raises ``CorruptArtifact`` when a file is missing, of another checksum or unreadable.
        """
        ...
