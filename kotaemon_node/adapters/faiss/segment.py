"""An open segment: memory-mapped files, read on demand."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np
import orjson
from numpy.typing import NDArray

from kotaemon_node.adapters.faiss import layout
from kotaemon_node.domain.errors import CorruptArtifact
from kotaemon_node.domain.knowledge import Passage

_TERMS_KEPT: Final = 8_192
_ABSENT: Final = -1
_NO_POSTINGS = np.empty(0, dtype=np.int32)


class FaissSegment:
    """``ports.segments.Segment`` over the files of ``layout.py``."""

    def __init__(self, name: str, paths: Mapping[str, Path]) -> None:
        """Map ``paths``, whose checksums are known to be right; ``CorruptArtifact`` if unfit."""
        self._name = name
        self._rows = _Rows(paths)
        self._lexicon = _Lexicon(paths)
        self._spaces = {space: _Space(space, paths) for space in layout.spaces_in(paths)}
        if len(self._lexicon.lengths) != len(self._rows.documents):
            raise CorruptArtifact(f"the files of segment {name} do not belong together")

    @property
    def name(self) -> str:
        return self._name

    @property
    def passages(self) -> int:
        return len(self._rows.documents)

    @property
    def documents(self) -> Sequence[str]:
        return self._rows.documents

    @property
    def lengths(self) -> NDArray[np.int32]:
        return self._lexicon.lengths

    def postings(self, term: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        return self._lexicon.postings(term)

    def nearest(
        self, space: str, queries: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        if space not in self._spaces:
            none = (len(queries), 0)
            return np.empty(none, dtype=np.int64), np.empty(none, dtype=np.float32)
        return self._spaces[space].nearest(queries, k)

    def vector(self, row: int) -> Mapping[str, NDArray[np.float32]]:
        found = {name: space.vector(row) for name, space in self._spaces.items()}
        return {name: vector for name, vector in found.items() if vector is not None}

    def passage(self, row: int) -> Passage:
        return self._rows.passage(row)

    def close(self) -> None:
        # Mappings end with their last reference; what a caller still holds stays readable.
        del self._rows, self._lexicon, self._spaces


class _Rows:
    """Passages and their documents."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._lines = layout.mapped(paths[layout.PASSAGES])
        self._offsets = layout.int64s(paths[layout.PASSAGE_OFFSETS])
        names = orjson.loads(paths[layout.DOCUMENTS].read_bytes())
        self.documents = [names[place] for place in layout.int32s(paths[layout.DOCUMENT_OF_ROW])]

    def passage(self, row: int) -> Passage:
        fields = orjson.loads(self._lines[self._offsets[row] : self._offsets[row + 1]])
        fields["heading"] = tuple(fields["heading"])
        fields["span"] = tuple(fields["span"])
        return Passage(**fields)


class _Lexicon:
    """Terms and their postings."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self.lengths = layout.int32s(paths[layout.LENGTHS])
        self._terms = layout.mapped(paths[layout.TERMS])
        term_offsets, posting_offsets = layout.int64s(paths[layout.TERM_OFFSETS]).reshape(2, -1)
        # A memory view gives plain integers, several times faster than an array does.
        self._term_offsets = term_offsets.data
        self._posting_offsets = posting_offsets.data
        self._rows, self._counts = layout.int32s(paths[layout.POSTINGS]).reshape(2, -1)
        self._places = range(len(term_offsets) - 1)
        # People ask in the same words again and again; finding a term takes some 20 comparisons.
        self._known: dict[str, int] = {}

    def postings(self, term: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        place = self._known.get(term)
        if place is None:
            if len(self._known) >= _TERMS_KEPT:
                self._known.clear()
            place = self._known[term] = self._place(term.encode())
        if place == _ABSENT:
            return _NO_POSTINGS, _NO_POSTINGS
        start, end = self._posting_offsets[place], self._posting_offsets[place + 1]
        return self._rows[start:end], self._counts[start:end]

    def _place(self, wanted: bytes) -> int:
        place = bisect_left(self._places, wanted, key=self._term)
        found = place < len(self._places) and self._term(place) == wanted
        return place if found else _ABSENT

    def _term(self, place: int) -> bytes:
        return bytes(self._terms[self._term_offsets[place] : self._term_offsets[place + 1]])


class _Space:
    """The vectors of one space."""

    def __init__(self, space: str, paths: Mapping[str, Path]) -> None:
        try:
            # IFC maps the file instead of reading it: pods of a machine share its pages.
            self._index = faiss.read_index(
                str(paths[layout.index_file(space)]), faiss.IO_FLAG_MMAP_IFC
            )
        except RuntimeError as error:
            raise CorruptArtifact(f"FAISS cannot read space {space}: {error}") from error
        self._rows = layout.int32s(paths[layout.index_rows_file(space)]).astype(np.int64)
        if self._index.ntotal != len(self._rows):
            raise CorruptArtifact(f"space {space} has {self._index.ntotal} vectors of other rows")
        # FAISS describes the class of what it reads only at run time.
        index: Any = self._index
        flat = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d)
        # A view of the mapped file. It must not leave this object, which keeps the index alive.
        self._vectors = flat.reshape(index.ntotal, index.d)

    def nearest(
        self, queries: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        contiguous = np.ascontiguousarray(queries, dtype=np.float32)
        _, places = self._index.search(contiguous, min(k, len(self._rows)))
        # FAISS sums a product in an order that depends on the place of the vector. Summed here in
        # one order, equal vectors are equally close wherever they stand.
        products = (self._vectors[places] * contiguous[:, np.newaxis, :]).sum(axis=2)
        order = np.argsort(-products, axis=1, kind="stable")
        places = np.take_along_axis(places, order, axis=1)
        # FAISS gives place -1 for none, when a product is not a number.
        rows = np.where(places < 0, -1, self._rows[places])
        return rows, np.take_along_axis(products, order, axis=1)

    def vector(self, row: int) -> NDArray[np.float32] | None:
        place = int(np.searchsorted(self._rows, row))
        if place == len(self._rows) or self._rows[place] != row:
            return None
        copied: NDArray[np.float32] = self._vectors[place].copy()
        return copied
