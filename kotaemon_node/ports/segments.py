"""Segments: immutable pieces of an index that a generation is made of."""

from collections.abc import Mapping, Sequence
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
        """The document of each row, in row order."""
        ...

    @property
    def lengths(self) -> NDArray[np.int32]:
        """(passages,) number of terms of each row, for BM25."""
        ...

    def postings(self, term: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return (rows, counts) of the rows that hold ``term``, rows increasing."""
        ...

    def nearest(
        self, space: str, queries: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return (rows, inner products), each (n_queries, <= k), closest first, row -1 for none."""
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


class SegmentFormat(Protocol):
    """Writes and opens segments as folders of files."""

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
