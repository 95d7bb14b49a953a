"""Writes the index of one space from its vectors, which lie in a file. Equal input, equal bytes.

Few vectors become a flat index. Many are shared out to lists by k-means, trained on a sample; the
lists hold a byte for each component, and the vectors stay beside them for the exact comparison. In
how many lists a search has to look is measured here, on the index as it will be served, and kept in
it. Memory follows the sample, not the vectors: codes go through a mapped file to their places.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np
from numpy.typing import NDArray

from kotaemon_node.adapters.faiss import layout
from kotaemon_node.adapters.faiss.spaces import ListedSpace, read_index

# Up to here a flat index answers in 3 ms (ADR 0017); its copy in memory is 31 MB at 384 components.
FLAT_ROWS_MAX: Final = 20_000

_BLOCK_ROWS: Final = 16_384
_LISTS_MAX: Final = 16_384
_TRAINING_ROWS_PER_LIST: Final = 32
_ROWS_PER_LIST_MIN: Final = 8
_TRAINING_ROUNDS: Final = 8
_SEED: Final = 1
_THREADS: Final = 2

_PROBE_ROWS: Final = 128
_PROBE_K: Final = 10
# Above the goal of 0.95: questions may be a little harder than the probes, and lists are cheap.
_PROBE_RECALL: Final = 0.985
_PROBE_LISTS_MIN: Final = 128
_PROBE_SHARE: Final = 8  # no search looks at more than this part of many lists
_ROUNDING: Final = 1e-5


@dataclass(frozen=True, slots=True)
class SpaceFiles:
    """Where one space of a segment lies while it is written."""

    folder: Path
    space: str
    dimension: int

    @property
    def index(self) -> Path:
        return self.folder / layout.index_file(self.space)

    @property
    def vectors(self) -> Path:
        return self.folder / layout.vectors_file(self.space)

    def write(
        self, rows: NDArray[np.int32], *, flat_rows_max: int, alive: Callable[[], None]
    ) -> None:
        """Write the index of what lies in ``vectors``; that stays only beside lists."""
        (self.folder / layout.index_rows_file(self.space)).write_bytes(rows.tobytes())
        if len(rows) <= flat_rows_max:
            self._write_flat()
        else:
            faiss.omp_set_num_threads(_THREADS)
            try:
                self._write_lists(alive)
            finally:
                faiss.omp_set_num_threads(1)

    def _mapped(self) -> NDArray[np.float32]:
        flat = np.frombuffer(layout.mapped(self.vectors), dtype="<f4")
        return flat.reshape(-1, self.dimension)

    def _write_flat(self) -> None:
        index = faiss.IndexFlatIP(self.dimension)
        index.add(self._mapped())
        faiss.write_index(index, str(self.index))
        self.vectors.unlink()

    def _write_lists(self, alive: Callable[[], None]) -> None:
        vectors = self._mapped()
        index = _trained(vectors)
        alive()
        list_of = _lists_of(index, vectors, alive)
        index.nprobe, index.ntotal = index.nlist, len(vectors)
        codes_at = _write_places(self.index, index, list_of)
        _write_codes(self.index, index, vectors, codes_at, alive)
        index.nprobe = _lists_to_look_in(self.index, vectors, alive)
        with self.index.open("r+b") as file:
            file.write(_head(index))


def _trained(vectors: NDArray[np.float32]) -> Any:
    """Return an index without vectors whose lists and codes are made for these."""
    rows, dimension = vectors.shape
    lists = min(_LISTS_MAX, rows // _ROWS_PER_LIST_MIN, 1 << round(math.log2(4 * math.sqrt(rows))))
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dimension),
        dimension,
        max(lists, 1),
        faiss.ScalarQuantizer.QT_8bit,
        faiss.METRIC_INNER_PRODUCT,
        False,  # codes of the vectors themselves: those of differences are slower, not better
    )
    index.cp.niter = _TRAINING_ROUNDS
    index.cp.seed = _SEED
    index.cp.spherical = True
    index.cp.min_points_per_centroid = 1
    index.cp.max_points_per_centroid = _TRAINING_ROWS_PER_LIST
    many = min(rows, _TRAINING_ROWS_PER_LIST * index.nlist)
    chosen = np.sort(np.random.default_rng(_SEED).choice(rows, many, replace=False))
    index.train(vectors[chosen])
    return index


def _lists_of(
    index: Any, vectors: NDArray[np.float32], alive: Callable[[], None]
) -> NDArray[np.int32]:
    """Return (rows,) the list of each vector."""
    found = np.empty(len(vectors), dtype=np.int32)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        alive()
        block = vectors[start : start + _BLOCK_ROWS]
        _, nearest = index.quantizer.search(block, 1)
        found[start : start + len(block)] = nearest[:, 0]
    return found


def _head(index: Any) -> bytes:
    """Return the file of an index up to its lists."""
    # FAISS writes an empty index as its head, then "ilar" and what there is of lists.
    whole: bytes = faiss.serialize_index(index).tobytes()
    return whole[: whole.rindex(b"ilar")]


def _write_places(path: Path, index: Any, list_of: NDArray[np.int32]) -> NDArray[np.int64]:
    """Write all but the codes; return (rows,) at which byte each row's code goes."""
    sizes = np.bincount(list_of, minlength=index.nlist).astype("<u8")
    head = _head(index)
    # FAISS, write_InvertedLists: kind, lists, bytes of a code, "full", number of sizes, sizes; then
    # of each list its codes and its ids.
    counts = np.array([index.nlist, index.code_size], dtype="<u8").tobytes()
    described = b"ilar" + counts + b"full" + counts[:8] + sizes.tobytes()
    first = len(head) + len(described)
    order = np.argsort(list_of, kind="stable")
    row_bytes = index.code_size + 8
    starts = first + np.concatenate([[0], np.cumsum(sizes.astype(np.int64) * row_bytes)])
    bounds = np.concatenate([[0], np.cumsum(sizes.astype(np.int64))])
    codes_at = np.empty(len(list_of), dtype=np.int64)
    with path.open("wb") as file:
        file.write(head + described)
        layout.make_room(file, int(starts[-1]))
        for one in range(index.nlist):
            rows = order[bounds[one] : bounds[one + 1]]
            codes_at[rows] = starts[one] + index.code_size * np.arange(len(rows))
            file.seek(int(starts[one]) + index.code_size * len(rows))
            file.write(rows.astype("<i8").tobytes())
    return codes_at


def _write_codes(
    path: Path,
    index: Any,
    vectors: NDArray[np.float32],
    codes_at: NDArray[np.int64],
    alive: Callable[[], None],
) -> None:
    # Pages of a file: the kernel writes them back where memory is short.
    out = np.memmap(path, dtype=np.uint8, mode="r+")
    # (bytes that a code may begin at, bytes of a code), overlapping: a row of it is a code.
    places = np.lib.stride_tricks.sliding_window_view(out, index.code_size, writeable=True)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        alive()
        block = vectors[start : start + _BLOCK_ROWS]
        codes = index.sq.compute_codes(np.ascontiguousarray(block))
        places[codes_at[start : start + len(block)]] = codes
    out.flush()


def _probes(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows, then middles of four rows each.

    A row lies in the midst of its neighbours and is found easily. A question lies between passages:
    so do middles of four, of which as many are missed as of questions of people (ADR 0017).
    """
    rng = np.random.default_rng(_SEED)
    count = min(_PROBE_ROWS, len(vectors))
    parts = [vectors[rng.choice(len(vectors), count, replace=False)] for _ in range(4)]
    probes = np.concatenate([parts[0], np.sum(parts, axis=0)])
    lengths = np.linalg.norm(probes, axis=1, keepdims=True)
    return np.ascontiguousarray(probes / np.maximum(lengths, 1e-9), dtype=np.float32)


def _lists_to_look_in(path: Path, vectors: NDArray[np.float32], alive: Callable[[], None]) -> int:
    """Return the least power of two that finds what is nearest to the probes."""
    probes = _probes(vectors)
    bars = _products_of_kth(vectors, probes, alive)
    index = read_index(path)
    rows = np.arange(len(vectors), dtype=np.int32)
    most: int = min(index.nlist, max(_PROBE_LISTS_MIN, index.nlist // _PROBE_SHARE))
    lists = 1
    while lists < most:
        alive()
        space = ListedSpace(index, rows, vectors, lists=lists)
        _, products = space.nearest(probes, _PROBE_K)
        # By closeness, not by place: of equal passages any may be found.
        found = products >= bars - _ROUNDING
        if min(kind.mean() for kind in np.split(found, 2)) >= _PROBE_RECALL:
            return lists
        lists = min(2 * lists, most)
    return most


def _products_of_kth(
    vectors: NDArray[np.float32], probes: NDArray[np.float32], alive: Callable[[], None]
) -> NDArray[np.float32]:
    """Return (probes, 1) how close the k-th nearest of all vectors is to each."""
    best = np.empty((len(probes), 0), dtype=np.float32)
    for start in range(0, len(vectors), _BLOCK_ROWS):
        alive()
        block = probes @ vectors[start : start + _BLOCK_ROWS].T
        best = np.concatenate([best, block], axis=1)
        k = min(_PROBE_K, best.shape[1])
        best = -np.partition(-best, k - 1, axis=1)[:, :k]
    kth: NDArray[np.float32] = best.min(axis=1, keepdims=True)
    return kth
