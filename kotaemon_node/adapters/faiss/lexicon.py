"""Terms and their postings: the lexical part of a segment, and of a run that is being written."""

from bisect import bisect_left
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kotaemon_node.adapters.faiss import layout

_TERMS_KEPT: Final = 8_192
_ABSENT: Final = -1
_NO_POSTINGS = np.empty(0, dtype=np.int32)


class Lexicon:
    """The files ``TERMS``, ``TERM_OFFSETS`` and ``POSTINGS`` of a folder, mapped."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self.terms = layout.mapped(paths[layout.TERMS])
        """The terms, sorted, one behind the other."""
        offsets = layout.int64s(paths[layout.TERM_OFFSETS]).reshape(2, -1)
        self.term_offsets: NDArray[np.int64] = offsets[0]
        self.posting_offsets: NDArray[np.int64] = offsets[1]
        postings = layout.int32s(paths[layout.POSTINGS]).reshape(2, -1)
        self.rows: NDArray[np.int32] = postings[0]
        self.counts: NDArray[np.int32] = postings[1]
        # A memory view gives plain integers, several times faster than an array does.
        self._term_offsets = self.term_offsets.data
        self._posting_offsets = self.posting_offsets.data
        self._places = range(len(self.term_offsets) - 1)
        # People ask in the same words again and again; finding a term takes some 20 comparisons.
        self._known: dict[str, int] = {}

    def postings(self, term: str) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return (rows, counts) of the rows that hold ``term``, rows increasing."""
        place = self._known.get(term)
        if place is None:
            if len(self._known) >= _TERMS_KEPT:
                self._known.clear()
            place = self._known[term] = self._place(term.encode())
        if place == _ABSENT:
            return _NO_POSTINGS, _NO_POSTINGS
        start, end = self._posting_offsets[place], self._posting_offsets[place + 1]
        return self.rows[start:end], self.counts[start:end]

    def term(self, place: int) -> bytes:
        """Return the UTF-8 of the term at ``place``."""
        return bytes(self.terms[self._term_offsets[place] : self._term_offsets[place + 1]])

    def _place(self, wanted: bytes) -> int:
        place = bisect_left(self._places, wanted, key=self.term)
        found = place < len(self._places) and self.term(place) == wanted
        return place if found else _ABSENT
