"""A generation of knowledge, opened: its segments side by side as one long table of rows.

Row numbers here count over all segments. A row is *live* when the manifest says that its document
is found in this very segment; dead rows are neither found nor counted.

Nothing here is as long as the table, except one byte a row of a segment with dead rows: what a
generation adds to its segments is said by document, and what it shares with the one before is taken
over. So a small change of a large knowledge base is opened in milliseconds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.domain.artifact_names import manifest_name
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.knowledge import DocumentEntry, GenerationRef, Manifest, Passage
from kotaemon_node.ports.segments import Segment

# Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), give
# 1.2 < k1 < 2 and 0.5 < b < 0.8 as good in many circumstances; these are the usual choice in there.
BM25_K1: Final = 1.2
BM25_B: Final = 0.75


@dataclass(frozen=True, slots=True)
class LoadedSegment:
    """A segment with its documents by name; made once, shared by the generations that have it."""

    segment: Segment
    numbers: Mapping[str, int]
    """Document to its number in ``segment.documents``."""
    rows: NDArray[np.int64]
    """(documents,) how many rows each has."""
    in_order: bool
    """The rows of each document lie side by side, in the order of the documents."""
    terms: int
    """How many terms all rows have, dead ones included."""
    longest: int
    """How many terms the longest row has."""


def load_segment(segment: Segment) -> LoadedSegment:
    """Look through the arrays of an open segment once."""
    of_row, lengths = segment.document_of_row, segment.lengths
    return LoadedSegment(
        segment,
        numbers={document: number for number, document in enumerate(segment.documents)},
        rows=np.bincount(of_row, minlength=len(segment.documents)).astype(np.int64),
        in_order=bool((of_row[1:] >= of_row[:-1]).all()),
        terms=int(lengths.sum(dtype=np.int64)),
        longest=int(lengths.max(initial=0)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A segment's place in a generation: its rows are ``first`` to ``first + passages - 1``."""

    loaded: LoadedSegment
    first: int
    homes: NDArray[np.bool_]
    """(documents,) which documents of the segment are found in it."""
    places: NDArray[np.int64]
    """(documents,) place of each among all documents of the generation, in order of names."""
    live: NDArray[np.bool_] | None
    """(passages,) which rows are live; None: all of them."""
    dead_rows: NDArray[np.int32]
    """The other ones, numbered within the segment, increasing."""
    live_terms: int
    """How many terms the live rows have."""

    @property
    def segment(self) -> Segment:
        """The segment itself."""
        return self.loaded.segment

    @property
    def dead(self) -> int:
        """How many rows are dead."""
        return len(self.dead_rows)

    @property
    def end(self) -> int:
        """The first row behind its last."""
        return self.first + self.loaded.segment.passages

    def are_live(self, rows: NDArray[np.integer[Any]]) -> NDArray[np.bool_]:
        """Tell which of ``rows``, numbered within the segment, are live."""
        return np.ones(len(rows), dtype=np.bool_) if self.live is None else self.live[rows]

    def rows_of(self, number: int) -> NDArray[np.int64]:
        """Return the rows of the document ``number``, within the segment, in their order."""
        of_row = self.segment.document_of_row
        if self.loaded.in_order:
            # Of the array's own type, or all of it is converted.
            start, end = np.searchsorted(of_row, np.array([number, number + 1], dtype=np.int32))
            return np.arange(start, end)
        return np.flatnonzero(of_row == number)


class OpenGeneration:
    """One generation ready to be searched. Immutable and safe for many readers until ``close``."""

    def __init__(
        self,
        manifest: Manifest,
        segments: Sequence[LoadedSegment],
        *,
        on_close: Callable[[], None],
        before: Sequence[Part] = (),
    ) -> None:
        """``segments`` are those of the manifest, in its order; ``on_close`` gives them back.

        ``before`` are parts of another generation, of which equal ones are shared.
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
        documents = sorted(manifest.documents, key=attrgetter("document"))
        self.parts = _parts(documents, segments, before)
        self.rows = self.parts[-1].end if self.parts else 0
        """How many rows there are, dead ones included."""
        self.live_rows = self.rows - sum(part.dead for part in self.parts)
        terms = sum(part.live_terms for part in self.parts)
        average = terms / self.live_rows if self.live_rows else 0.0
        lengths = np.arange(1 + max((part.loaded.longest for part in self.parts), default=0))
        share = lengths / average if average else np.zeros(len(lengths))
        self.bm25_norm: NDArray[np.float64] = BM25_K1 * (1 - BM25_B + BM25_B * share)
        """(longest row + 1,) number of terms to the length part of the BM25 denominator."""

    def passage(self, row: int) -> Passage:
        """Return the passage of a row."""
        part = self._part_of(row)
        return part.segment.passage(row - part.first)

    def vector(self, row: int) -> Mapping[str, NDArray[np.float32]]:
        """Return the vectors of a row by space."""
        part = self._part_of(row)
        return part.segment.vector(row - part.first)

    def order(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return numbers that sort live ``rows`` by document, then place in it.

        However segments are cut: a document's rows all lie in one segment, so its row numbers order
        them in all cuts.
        """
        found = np.zeros(len(rows), dtype=np.int64)
        for part in self.parts:
            inside = np.flatnonzero((rows >= part.first) & (rows < part.end))
            if len(inside):
                local = rows[inside] - part.first
                found[inside] = (part.places[part.segment.document_of_row[local]] << 32) + local
        return found

    def rows_of(self, document: str) -> list[int]:
        """Return the live rows of a document in the order of its text."""
        for part in self.parts:
            number = part.loaded.numbers.get(document)
            if number is not None and part.homes[number]:
                return [int(row) + part.first for row in part.rows_of(number)]
        return []

    def sample(self, size: int) -> list[int]:
        """Return at most ``size`` live rows, evenly spaced in their order: those of all cuts."""
        homes = [np.flatnonzero(part.homes) for part in self.parts]
        numbers = np.concatenate([np.zeros(0, dtype=np.int64), *homes])
        of_part = np.repeat(np.arange(len(homes)), [len(found) for found in homes])
        looked = list(zip(self.parts, homes, strict=True))
        places = [part.places[found] for part, found in looked]
        counts = [part.loaded.rows[found] for part, found in looked]
        in_order = np.argsort(np.concatenate([np.zeros(0, dtype=np.int64), *places]))
        ends = np.cumsum(np.concatenate([np.zeros(0, dtype=np.int64), *counts])[in_order])
        found: list[int] = []
        wanted = np.linspace(0, self.live_rows - 1, num=min(size, self.live_rows), dtype=np.int64)
        for place in wanted.tolist():
            at = int(np.searchsorted(ends, place, side="right"))
            part = self.parts[of_part[in_order[at]]]
            of_document = part.rows_of(int(numbers[in_order[at]])) + part.first
            found.append(int(of_document[place - int(ends[at])]))
        return found

    def close(self) -> None:
        """Give the segments back. Called once, after the last reader."""
        self._on_close()

    def _part_of(self, row: int) -> Part:
        # At most SEGMENTS_MAX parts: a loop is quicker than a search.
        for part in reversed(self.parts):
            if row >= part.first:
                return part
        raise IndexError(row)


def _parts(
    documents: Sequence[DocumentEntry], segments: Sequence[LoadedSegment], before: Sequence[Part]
) -> tuple[Part, ...]:
    """Return the parts of a generation of ``documents``, which are in order of their names."""
    found: dict[str, tuple[list[int], list[int]]] = {it.segment.name: ([], []) for it in segments}
    known = {it.segment.name: (it.numbers, *found[it.segment.name]) for it in segments}
    last: str | None = None
    for place, entry in enumerate(documents):
        if entry.segment is None:
            continue
        try:
            if entry.segment != last:
                numbers_of, numbers, places = known[entry.segment]
                last = entry.segment
            numbers.append(numbers_of[entry.document])
        except KeyError as error:
            raise CorruptArtifact(f"{entry.document} is not in {entry.segment}") from error
        places.append(place)
    shared = {part.segment.name: part for part in before}
    parts: list[Part] = []
    first = 0
    for loaded in segments:
        name = loaded.segment.name
        parts.append(_part(loaded, first, found[name], shared.get(name)))
        first = parts[-1].end
    return tuple(parts)


def _part(
    loaded: LoadedSegment, first: int, found: tuple[list[int], list[int]], before: Part | None
) -> Part:
    """Make a part of the documents found in it (numbers, places)."""
    size = len(loaded.segment.documents)
    homes = np.zeros(size, dtype=np.bool_)
    places = np.zeros(size, dtype=np.int64)
    homes[found[0]] = True
    places[found[0]] = found[1]
    if before is not None and before.loaded is loaded and np.array_equal(before.homes, homes):
        return replace(before, first=first, places=places)
    live, dead_rows, terms = None, np.zeros(0, dtype=np.int32), loaded.terms
    if not homes.all():
        live = homes[loaded.segment.document_of_row]
        dead_rows = np.flatnonzero(~live).astype(np.int32)
        terms -= int(loaded.segment.lengths[dead_rows].sum(dtype=np.int64))
    return Part(loaded, first, homes, places, live, dead_rows, terms)
