"""A generation of knowledge, opened: its segments side by side as one long table of rows.

Row numbers here count over all segments. A row is *live* when the manifest says that its document
is found in this very segment; dead rows are neither found nor counted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.domain.artifact_names import manifest_name
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.knowledge import GenerationRef, Manifest, Passage
from kotaemon_node.ports.segments import Segment

# Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), give
# 1.2 < k1 < 2 and 0.5 < b < 0.8 as good in many circumstances; these are the usual choice in there.
BM25_K1: Final = 1.2
BM25_B: Final = 0.75


@dataclass(frozen=True, slots=True)
class LoadedSegment:
    """A segment with its documents by number; made once, shared by the generations that have it."""

    segment: Segment
    documents: tuple[str, ...]
    """Its documents, each once."""
    holds: frozenset[str]
    """The same, to be looked up."""
    document_of_row: NDArray[np.int32]
    """(passages,) place in ``documents``."""


def load_segment(segment: Segment) -> LoadedSegment:
    """Number the documents of an open segment."""
    places: dict[str, int] = {}
    of_row = np.array(
        [places.setdefault(document, len(places)) for document in segment.documents],
        dtype=np.int32,
    )
    return LoadedSegment(segment, tuple(places), frozenset(places), of_row)


@dataclass(frozen=True, slots=True)
class Part:
    """A segment's place in a generation: its rows are ``first`` to ``first + passages - 1``."""

    segment: Segment
    first: int
    dead: int


class OpenGeneration:
    """One generation ready to be searched. Immutable and safe for many readers until ``close``."""

    def __init__(
        self,
        manifest: Manifest,
        segments: Sequence[LoadedSegment],
        *,
        on_close: Callable[[], None],
    ) -> None:
        """``segments`` are those of the manifest, in its order; ``on_close`` gives them back.

        Raises ``CorruptArtifact`` when a document's segment does not hold what the manifest says.
        """
        self.manifest = manifest
        self.ref = GenerationRef(
            kb=manifest.kb,
            generation=manifest.generation,
            digest=manifest.digest,
            manifest=manifest_name(manifest.tenant, manifest.kb, manifest.generation),
        )
        self._on_close = on_close
        self._segments = tuple(segments)
        _check(manifest, segments)
        live, order = _live_rows(manifest, segments)
        self.live: NDArray[np.bool_] = live
        """(rows,) which rows can be found."""
        self.order: NDArray[np.int64] = order
        """(rows,) sorts equals by document, then place in it, however segments are cut."""
        self.parts = _parts(segments, live)
        lengths = np.concatenate(
            [np.zeros(0, dtype=np.int32), *(loaded.segment.lengths for loaded in segments)]
        )
        self.live_rows = int(live.sum())
        average = float(lengths[live].sum()) / self.live_rows if self.live_rows else 0.0
        share = lengths / average if average else np.zeros(len(lengths))
        self.bm25_norm: NDArray[np.float64] = BM25_K1 * (1 - BM25_B + BM25_B * share)
        """(rows,) the length part of the BM25 denominator."""

    def passage(self, row: int) -> Passage:
        """Return the passage of a row."""
        part = self._part_of(row)
        return part.segment.passage(row - part.first)

    def vector(self, row: int) -> Mapping[str, NDArray[np.float32]]:
        """Return the vectors of a row by space."""
        part = self._part_of(row)
        return part.segment.vector(row - part.first)

    def rows_of(self, document: str) -> list[int]:
        """Return the live rows of a document in the order of its text."""
        rows: list[int] = []
        for loaded, part in zip(self._segments, self.parts, strict=True):
            if document in loaded.documents:
                of_document = loaded.document_of_row == loaded.documents.index(document)
                rows.extend((np.flatnonzero(of_document) + part.first).tolist())
        return [row for row in rows if self.live[row]]

    def close(self) -> None:
        """Give the segments back. Called once, after the last reader."""
        self._on_close()

    def _part_of(self, row: int) -> Part:
        # At most SEGMENTS_MAX parts: a loop is quicker than a search.
        for part in reversed(self.parts):
            if row >= part.first:
                return part
        raise IndexError(row)


def _check(manifest: Manifest, segments: Sequence[LoadedSegment]) -> None:
    held = {loaded.segment.name: loaded.holds for loaded in segments}
    for entry in manifest.documents:
        if entry.segment is not None and entry.document not in held.get(entry.segment, ()):
            raise CorruptArtifact(f"{entry.document} is not in segment {entry.segment}")


def _live_rows(
    manifest: Manifest, segments: Sequence[LoadedSegment]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    live: list[NDArray[np.bool_]] = [np.zeros(0, dtype=np.bool_)]
    order: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    home = {entry.document: entry.segment for entry in manifest.documents}
    place = {document: number for number, document in enumerate(sorted(home))}
    for loaded in segments:
        name = loaded.segment.name
        lives = np.array([home.get(at) == name for at in loaded.documents], dtype=np.bool_)
        places = np.array([place.get(at, 0) for at in loaded.documents], dtype=np.int64)
        rows = np.arange(len(loaded.document_of_row), dtype=np.int64)
        live.append(lives[loaded.document_of_row])
        # A document's rows all lie in one segment, so its row numbers order them in all cuts.
        order.append((places[loaded.document_of_row] << 32) + rows)
    return np.concatenate(live), np.concatenate(order)


def _parts(segments: Sequence[LoadedSegment], live: NDArray[np.bool_]) -> tuple[Part, ...]:
    parts: list[Part] = []
    first = 0
    for loaded in segments:
        end = first + loaded.segment.passages
        parts.append(Part(loaded.segment, first, dead=int((~live[first:end]).sum())))
        first = end
    return tuple(parts)
