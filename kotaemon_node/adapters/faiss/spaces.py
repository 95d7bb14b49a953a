"""The vectors of one space of a segment: exact where they are few, by lists where they are many."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from kotaemon_node.adapters.faiss import layout
from kotaemon_node.domain.errors import CorruptArtifact

# Codes tell a product to about 0.002: so many more candidates are compared by their vectors.
_MORE_CANDIDATES: Final = 16
_MORE_LISTS: Final = 4


class Space(Protocol):
    """The vectors of a space, searched and read. Safe for many readers."""

    @property
    def rows(self) -> NDArray[np.int32]:
        """(n,) the rows of the segment that have a vector here, increasing."""
        ...

    @property
    def vectors(self) -> NDArray[np.float32]:
        """(n, dimension) their vectors, mapped. Views must not outlive this object."""
        ...

    def nearest(
        self, queries: NDArray[np.float32], k: int, live: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """As ``ports.segments.Segment.nearest``."""
        ...


def open_space(space: str, paths: Mapping[str, Path]) -> Space:
    """Open what ``space_writing`` wrote; ``CorruptArtifact`` where it is unfit."""
    rows = layout.int32s(paths[layout.index_rows_file(space)])
    try:
        index = read_index(paths[layout.index_file(space)])
    except RuntimeError as error:
        raise CorruptArtifact(f"FAISS cannot read space {space}: {error}") from error
    if index.ntotal != len(rows):
        raise CorruptArtifact(f"space {space} has {index.ntotal} vectors of other rows")
    raw = paths.get(layout.vectors_file(space))
    kind = faiss.IndexFlat if raw is None else faiss.IndexIVFScalarQuantizer
    known = isinstance(index, kind)
    if not known:
        # Written by a later version, perhaps: whoever serves keeps what it has.
        raise CorruptArtifact(f"space {space} has a {type(index).__name__}, which we cannot search")
    if raw is None:
        return FlatSpace(index, rows)
    flat = np.frombuffer(layout.mapped(raw), dtype="<f4")
    if len(flat) != len(rows) * index.d:
        raise CorruptArtifact(f"space {space} has the vectors of other rows")
    return ListedSpace(index, rows, flat.reshape(len(rows), index.d), lists=index.nprobe)


def read_index(path: Path) -> Any:
    """Return the index in a file, mapped; FAISS raises ``RuntimeError`` where it is none."""
    # IFC maps the file instead of reading it: pods of a machine share its pages.
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)


class FlatSpace:
    """Compares a question with every vector."""

    def __init__(self, index: Any, rows: NDArray[np.int32]) -> None:
        self._index = index
        self.rows = rows
        flat = faiss.rev_swig_ptr(index.get_xb(), index.ntotal * index.d)
        # A view of the mapped file. It must not leave this object, which keeps the index alive.
        self.vectors: NDArray[np.float32] = flat.reshape(index.ntotal, index.d)

    def nearest(
        self, queries: NDArray[np.float32], k: int, live: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        contiguous = np.ascontiguousarray(queries, dtype=np.float32)
        chosen = _Chosen(self.rows, live)
        asked = min(k, chosen.count)
        if not asked:
            return nothing_for(queries)
        _one_thread()
        only = None
        if live is not None:
            only = faiss.SearchParameters(sel=chosen.selector)  # type: ignore[call-arg]
        _, places = self._index.search(contiguous, asked, params=only)
        return _compared(self, contiguous, places, k)


class ListedSpace:
    """Compares a question with the codes of the nearest lists, then with the best ones' vectors."""

    def __init__(
        self,
        index: Any,
        rows: NDArray[np.int32],
        vectors: NDArray[np.float32],
        *,
        lists: int,
    ) -> None:
        """``lists`` says in how many a search looks."""
        self._index = index
        self.rows = rows
        self.vectors = vectors
        self._lists = lists

    def nearest(
        self, queries: NDArray[np.float32], k: int, live: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        contiguous = np.ascontiguousarray(queries, dtype=np.float32)
        chosen = _Chosen(self.rows, live)
        wanted = min(k, chosen.count)
        asked = min(wanted + max(_MORE_CANDIDATES, wanted // 2), chosen.count)
        if not asked:
            return nothing_for(queries)
        _one_thread()
        # One by one: what is found for a question does not depend on the others.
        places = [self._places(query, wanted, asked, chosen.selector) for query in contiguous]
        found = np.array(places, dtype=np.int64).reshape(len(places), asked)
        return _compared(self, contiguous, found, k)

    def _places(
        self, query: NDArray[np.float32], wanted: int, asked: int, selector: Any
    ) -> NDArray[np.int64]:
        """Return (asked,) places of what is near, at least ``wanted`` of them, then -1."""
        # Rows are chosen where the nearest lists hold dead ones: live ones lie further on.
        lists = self._lists if selector is None else self._lists * _MORE_LISTS
        while True:
            # The index is shared by threads, so its own setting must stay as it was read.
            settings = faiss.SearchParametersIVF(sel=selector)  # type: ignore[call-arg]
            settings.nprobe = lists
            _, places = self._index.search(query[np.newaxis], asked, params=settings)
            if lists >= self._index.nlist or (places[0, :wanted] >= 0).all():
                found: NDArray[np.int64] = places[0]
                return found
            lists *= _MORE_LISTS  # the lists that were looked at hold fewer than are wanted


class _Chosen:
    """Which vectors of a space are searched, as FAISS wants to be told."""

    def __init__(self, rows: NDArray[np.int32], live: NDArray[np.bool_] | None) -> None:
        self.selector: Any = None
        """None: all of them. Valid as long as this object."""
        self.count = len(rows)
        if live is not None:
            chosen = live[rows]
            self.count = int(np.count_nonzero(chosen))
            self._bits = np.packbits(chosen, bitorder="little")
            # FAISS's own Python layer takes the array alone, and keeps it.
            self.selector = faiss.IDSelectorBitmap(self._bits)  # type: ignore[call-arg, arg-type]


def nothing_for(
    queries: NDArray[np.float32],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return what is found of ``queries`` where there is nothing."""
    none = (len(queries), 0)
    return np.empty(none, dtype=np.int64), np.empty(none, dtype=np.float32)


def _compared(
    space: Space, queries: NDArray[np.float32], places: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    # FAISS sums a product in an order that depends on the place of the vector. Summed here in one
    # order, equal vectors are equally close wherever they stand, in every kind of index.
    products = (space.vectors[places] * queries[:, np.newaxis, :]).sum(axis=2)
    # FAISS gives place -1 for none: where lists are short, or a product is not a number.
    products[places < 0] = -np.inf
    order = np.argsort(-products, axis=1, kind="stable")[:, :k]
    places = np.take_along_axis(places, order, axis=1)
    rows = np.where(places < 0, -1, space.rows[places]).astype(np.int64)
    return rows, np.take_along_axis(products, order, axis=1)


def _one_thread() -> None:
    # A search that took all cores would hold up every other request of the machine. The setting is
    # the calling thread's own and costs nothing.
    faiss.omp_set_num_threads(1)
