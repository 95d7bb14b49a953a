"""Writes the files of a segment. Equal input gives equal bytes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import faiss
import numpy as np
import orjson
from numpy.typing import NDArray

from kotaemon_node.adapters.faiss import layout
from kotaemon_node.domain.knowledge import Passage
from kotaemon_node.ports.encoder import SpaceVectors


def write_passages(folder: Path, passages: Sequence[Passage]) -> None:
    """Write the passages and which document each belongs to."""
    lines = [orjson.dumps(passage, option=orjson.OPT_APPEND_NEWLINE) for passage in passages]
    offsets = np.zeros(len(lines) + 1, dtype="<i8")
    np.cumsum([len(line) for line in lines], out=offsets[1:])
    (folder / layout.PASSAGES).write_bytes(b"".join(lines))
    (folder / layout.PASSAGE_OFFSETS).write_bytes(offsets.tobytes())
    places: dict[str, int] = {}
    of_row = [places.setdefault(passage.document, len(places)) for passage in passages]
    (folder / layout.DOCUMENTS).write_bytes(orjson.dumps(list(places)))
    (folder / layout.DOCUMENT_OF_ROW).write_bytes(np.array(of_row, dtype="<i4").tobytes())


def write_terms(folder: Path, terms: Sequence[Mapping[str, int]]) -> None:
    """Write the lexical index: ``terms`` are those of each row with their counts."""
    lengths = np.array([sum(counts.values()) for counts in terms], dtype="<i4")
    (folder / layout.LENGTHS).write_bytes(lengths.tobytes())
    # UTF-8 sorts like code points, so the reader may compare bytes.
    vocabulary = sorted({term for counts in terms for term in counts})
    place = {term: number for number, term in enumerate(vocabulary)}
    encoded = [term.encode() for term in vocabulary]
    (folder / layout.TERMS).write_bytes(b"".join(encoded))

    term_of = np.array([place[term] for counts in terms for term in counts], dtype="<i4")
    row_of = np.repeat(np.arange(len(terms), dtype="<i4"), [len(counts) for counts in terms])
    count_of = np.array([count for counts in terms for count in counts.values()], dtype="<i4")
    order = np.argsort(term_of, kind="stable")  # rows stay increasing within a term
    postings = np.stack([row_of[order], count_of[order]])
    (folder / layout.POSTINGS).write_bytes(postings.tobytes())

    offsets = np.zeros((2, len(vocabulary) + 1), dtype="<i8")
    np.cumsum([len(term) for term in encoded], out=offsets[0, 1:])
    np.cumsum(np.bincount(term_of, minlength=len(vocabulary)), out=offsets[1, 1:])
    (folder / layout.TERM_OFFSETS).write_bytes(offsets.tobytes())


def write_vectors(folder: Path, space: str, vectors: SpaceVectors) -> None:
    """Write the index of one space."""
    index = faiss.IndexFlatIP(vectors.vectors.shape[1])
    index.add(_contiguous(vectors.vectors))
    faiss.write_index(index, str(folder / layout.index_file(space)))
    rows = vectors.positions.astype("<i4")
    (folder / layout.index_rows_file(space)).write_bytes(rows.tobytes())


def _contiguous(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(vectors, dtype=np.float32)
