"""Writes a segment piece by piece: rows of older segments and new ones, in bounded memory.

Of a row of an older segment nothing is read that need not be: its passage is copied byte by byte,
its terms are not counted again, its vectors move in blocks. What is kept in memory meanwhile is
some twenty bytes a row, the names of documents, and the terms of a few thousand new rows.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from kotaemon_node.adapters.faiss import layout, writer
from kotaemon_node.adapters.faiss.lexicon import Lexicon
from kotaemon_node.adapters.faiss.merged_terms import TermSource, write_merged
from kotaemon_node.adapters.faiss.segment import FaissSegment
from kotaemon_node.adapters.faiss.space_writing import SpaceFiles
from kotaemon_node.adapters.faiss.spaces import Space
from kotaemon_node.domain.knowledge import Passage, SegmentEntry
from kotaemon_node.ports.encoder import SpaceVectors
from kotaemon_node.ports.segments import Segment

_RUNS: Final = "runs"
_RUN_POSTINGS: Final = 250_000  # some 50 MB as Python holds them
_COPY_ROWS: Final = 8_192
_LEFT_OUT: Final = -1


class FaissSegmentWriter:
    """``ports.segments.SegmentWriter``."""

    def __init__(self, folder: Path, *, flat_rows_max: int, alive: Callable[[], None]) -> None:
        """Write into the empty ``folder``; ``alive`` is called often and may raise."""
        self._folder = folder
        self._flat_rows_max = flat_rows_max
        self._alive = alive
        self._files = ExitStack()
        self._passages = _PassageFiles(folder, self._files)
        self._terms = _TermRuns(folder / _RUNS)
        self._spaces: dict[str, _SpaceRows] = {}
        self._lengths: list[NDArray[np.int32]] = []

    def copy(self, segment: Segment, live: NDArray[np.bool_]) -> None:
        if not isinstance(segment, FaissSegment):
            raise TypeError(f"{type(segment).__name__} was opened by another format")
        rows = np.flatnonzero(live)
        first = self._passages.count
        new_rows = np.full(len(live), _LEFT_OUT, dtype=np.int32)
        new_rows[rows] = np.arange(first, first + len(rows), dtype=np.int32)
        for start in range(0, len(rows), _COPY_ROWS):
            self._alive()
            self._passages.copy(segment, rows[start : start + _COPY_ROWS])
        self._lengths.append(segment.lengths[rows])
        self._terms.copy(segment.lexicon, new_rows)
        for name, space in segment.spaces.items():
            goes_to = new_rows[space.rows]
            if (goes_to >= 0).any():
                self._space(name, space.vectors.shape[1]).copy(space, goes_to, self._alive)

    def add(
        self,
        passages: Sequence[Passage],
        terms: Sequence[Mapping[str, int]],
        vectors: Mapping[str, SpaceVectors],
    ) -> None:
        if len(passages) != len(terms):
            raise ValueError(f"{len(passages)} passages with the terms of {len(terms)}")
        first = self._passages.count
        self._passages.add(passages)
        self._lengths.append(np.array([sum(counts.values()) for counts in terms], dtype=np.int32))
        self._terms.add(terms, first)
        for name, found in vectors.items():
            if len(found.positions):
                space = self._space(name, found.vectors.shape[1])
                space.add(found.positions + first, found.vectors)

    def finish(self) -> SegmentEntry:
        self._passages.finish()
        lengths = np.concatenate([np.zeros(0, dtype=np.int32), *self._lengths]).astype("<i4")
        (self._folder / layout.LENGTHS).write_bytes(lengths.tobytes())
        self._terms.finish(self._folder, self._alive)
        self._files.close()
        for name in sorted(self._spaces):
            rows = np.concatenate(self._spaces[name].rows).astype("<i4")
            self._spaces[name].files.write(
                rows, flat_rows_max=self._flat_rows_max, alive=self._alive
            )
        written = sorted(self._folder.iterdir())
        checksums = {path.name: layout.sha256_of(path) for path in written}
        return SegmentEntry(
            name=layout.segment_name(checksums),
            passages=self._passages.count,
            size_bytes=sum(path.stat().st_size for path in written),
            files=checksums,
        )

    def _space(self, name: str, dimension: int) -> "_SpaceRows":
        if name not in self._spaces:
            files = SpaceFiles(self._folder, name, dimension)
            self._spaces[name] = _SpaceRows(files, self._files)
        return self._spaces[name]


class _PassageFiles:
    """Passages, and which document each belongs to."""

    def __init__(self, folder: Path, files: ExitStack) -> None:
        self.count = 0
        self._folder = folder
        self._file = files.enter_context((folder / layout.PASSAGES).open("wb"))
        self._sizes: list[NDArray[np.int64]] = []
        self._places: dict[str, int] = {}
        self._of_row: list[NDArray[np.int32]] = []

    def add(self, passages: Sequence[Passage]) -> None:
        lines = [orjson.dumps(passage, option=orjson.OPT_APPEND_NEWLINE) for passage in passages]
        self._file.write(b"".join(lines))
        self._took([len(line) for line in lines], [self._place(it.document) for it in passages])

    def copy(self, segment: FaissSegment, rows: NDArray[np.int64]) -> None:
        stored = segment.rows
        for first, last in _stretches(rows):
            self._file.write(stored.lines[stored.offsets[first] : stored.offsets[last]])
        of_row = segment.document_of_row[rows]
        # A document's place is the order of its first row, as if all rows were new.
        named, firsts = np.unique(of_row, return_index=True)
        places = np.zeros(len(stored.documents), dtype=np.int32)
        for at in named[np.argsort(firsts)].tolist():
            places[at] = self._place(stored.documents[at])
        self._took(stored.offsets[rows + 1] - stored.offsets[rows], places[of_row])

    def finish(self) -> None:
        offsets = np.zeros(self.count + 1, dtype="<i8")
        np.cumsum(np.concatenate([np.zeros(0, np.int64), *self._sizes]), out=offsets[1:])
        (self._folder / layout.PASSAGE_OFFSETS).write_bytes(offsets.tobytes())
        (self._folder / layout.DOCUMENTS).write_bytes(orjson.dumps(list(self._places)))
        of_row = np.concatenate([np.zeros(0, np.int32), *self._of_row]).astype("<i4")
        (self._folder / layout.DOCUMENT_OF_ROW).write_bytes(of_row.tobytes())

    def _place(self, document: str) -> int:
        return self._places.setdefault(document, len(self._places))

    def _took(
        self, sizes: Sequence[int] | NDArray[np.int64], places: Sequence[int] | NDArray[np.int32]
    ) -> None:
        self._sizes.append(np.asarray(sizes, dtype=np.int64))
        self._of_row.append(np.asarray(places, dtype=np.int32))
        self.count += len(sizes)


class _TermRuns:
    """Terms of new rows, written now and then as a lexicon of their own, and those of old rows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sources: list[TermSource] = []
        self._waiting: list[Mapping[str, int]] = []
        self._first = 0
        self._postings = 0
        self._runs = 0

    def add(self, terms: Sequence[Mapping[str, int]], first: int) -> None:
        """Take the terms of rows that are numbered from ``first`` on."""
        if not self._waiting:
            self._first = first
        self._waiting += terms
        self._postings += sum(len(counts) for counts in terms)
        if self._postings >= _RUN_POSTINGS:
            self._write_run()

    def copy(self, lexicon: Lexicon, new_rows: NDArray[np.int32]) -> None:
        self._write_run()
        self._sources.append(TermSource(lexicon, new_rows))

    def finish(self, folder: Path, alive: Callable[[], None]) -> None:
        self._write_run()
        write_merged(folder, self._sources, alive=alive)
        self._sources.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write_run(self) -> None:
        if not self._waiting:
            return
        run = self._folder / str(self._runs)
        run.mkdir(parents=True)
        writer.write_terms(run, self._waiting)
        rows = np.arange(self._first, self._first + len(self._waiting), dtype=np.int32)
        lexicon = Lexicon({path.name: path for path in run.iterdir()})
        self._sources.append(TermSource(lexicon, rows))
        self._waiting, self._postings, self._runs = [], 0, self._runs + 1


class _SpaceRows:
    """The vectors of one space on their way into their file."""

    def __init__(self, files: SpaceFiles, opened: ExitStack) -> None:
        self.files = files
        self.rows: list[NDArray[np.int32]] = []
        self._file: BinaryIO = opened.enter_context(files.vectors.open("wb"))

    def add(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        self.rows.append(rows.astype(np.int32))
        self._file.write(np.ascontiguousarray(vectors, dtype="<f4").data)

    def copy(self, space: Space, goes_to: NDArray[np.int32], alive: Callable[[], None]) -> None:
        """Append the vectors whose new row ``goes_to`` (vectors of the space,) tells, else -1."""
        places = np.flatnonzero(goes_to >= 0)
        self.rows.append(goes_to[places])
        for start in range(0, len(places), _COPY_ROWS):
            alive()
            self._file.write(space.vectors[places[start : start + _COPY_ROWS]].data)


def _stretches(rows: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return (first, end) of the stretches of rows that follow each other."""
    cuts = np.flatnonzero(np.diff(rows) != 1) + 1
    starts = np.concatenate([rows[:1], rows[cuts]])
    ends = np.concatenate([rows[cuts - 1], rows[-1:]]) + 1
    return list(zip(starts.tolist(), ends.tolist(), strict=True))
