"""Writes the terms of rows as a lexicon. Equal input gives equal bytes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kotaemon_node.adapters.faiss import layout


def write_terms(folder: Path, terms: Sequence[Mapping[str, int]]) -> None:
    """Write the three files of a lexicon; ``terms`` are those of each row with their counts."""
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
